/**
 * Runs in the thread where Node resolves the names of modules: https://nodejs.org/api/module.html#customization-hooks
 * `waybill/provider` means the code of the router that is running, wherever the module lies that asks for it.
 */
interface Resolved {
  url: string;
  shortCircuit?: boolean;
}

const published = { url: '' };

export function initialize(data: { url: string }): void {
  published.url = data.url;
}

export function resolve(
  specifier: string,
  context: unknown,
  next: (specifier: string, context: unknown) => Promise<Resolved>,
): Promise<Resolved> | Resolved {
  return specifier === 'waybill/provider' ? { url: published.url, shortCircuit: true } : next(specifier, context);
}
