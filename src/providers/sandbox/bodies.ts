/** A request's body as the dialects see it: JSON text, and bytes where there are any. */
export interface ReadBody {
  body: string;
  file?: Buffer;
}

/** Raw bytes where the type says that it is neither JSON nor what clients send for want of a type. */
export function readPlain(bytes: Buffer, contentType: string): ReadBody {
  const isBytes = contentType !== '' && !/json|x-www-form-urlencoded|^text\/plain/i.test(contentType);
  return isBytes ? { body: '', file: bytes } : { body: bytes.toString('utf8') };
}

/** A form's fields as JSON, and its first file. What is no form has no fields. */
export async function readForm(bytes: Buffer, contentType: string): Promise<ReadBody> {
  const fields: { [name: string]: string } = {};
  let file: Buffer | undefined;
  try {
    const form = await new Response(new Uint8Array(bytes), { headers: { 'content-type': contentType } }).formData();
    for (const [name, value] of form) {
      if (typeof value === 'string') fields[name] ??= value;
      else file ??= Buffer.from(await value.arrayBuffer());
    }
  } catch {
    // The answer says what is missing.
  }
  return { body: JSON.stringify(fields), ...(file === undefined ? {} : { file }) };
}
