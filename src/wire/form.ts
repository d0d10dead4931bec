import type { CarriedForm, FormStep } from '../domain/task.js';

/** What is changed of a form on its way. */
export interface FormEdits {
  /** Stand first, and in place of the client's own of that name. */
  set: ReadonlyArray<readonly [name: string, value: string]>;
  /** Stand last, where the client gave none of that name. */
  add: ReadonlyArray<readonly [name: string, value: string]>;
  drop: readonly string[];
}

export function formContentType({ boundary }: CarriedForm): string {
  return `multipart/form-data; boundary=${boundary}`;
}

/**
 * A form as it goes upstream (RFC 7578), made part by part as it is read.
 * @throws WaybillError when the client's form breaks off
 */
export async function* writeForm(form: CarriedForm, edits: FormEdits): AsyncGenerator<Buffer> {
  const writer = new FormWriter(form.boundary, edits);
  yield writer.begin();
  for await (const step of form.read()) {
    const part = writer.write(step);
    if (part.length > 0) yield part;
  }
  yield writer.end();
}

/** The same of a form that is whole. */
export function wholeForm(boundary: string, steps: readonly FormStep[], edits: FormEdits): Buffer {
  const writer = new FormWriter(boundary, edits);
  return Buffer.concat([writer.begin(), ...steps.map((step) => writer.write(step)), writer.end()]);
}

const NOTHING = Buffer.alloc(0);
const LINE_END = Buffer.from('\r\n');

class FormWriter {
  readonly #boundary: string;
  readonly #edits: FormEdits;
  readonly #skipped: ReadonlySet<string>;
  readonly #seen = new Set<string>();
  /** Within a file whose end is still to be written. */
  #isInFile = false;
  #isKept = true;

  constructor(boundary: string, edits: FormEdits) {
    this.#boundary = boundary;
    this.#edits = edits;
    this.#skipped = new Set([...edits.set.map(([name]) => name), ...edits.drop]);
  }

  begin(): Buffer {
    return Buffer.concat(this.#edits.set.map(([name, value]) => this.#field(name, value)));
  }

  write(step: FormStep): Buffer {
    if (step.kind === 'bytes') return this.#isKept ? step.bytes : NOTHING;
    const before = this.#endOfFile();
    this.#seen.add(step.name);
    this.#isKept = !this.#skipped.has(step.name);
    if (!this.#isKept) return before;
    if (step.kind === 'field') return Buffer.concat([before, this.#field(step.name, step.value)]);
    this.#isInFile = true;
    const head = `${this.#opening(step.name)}; filename="${escaped(step.filename)}"`;
    return Buffer.concat([before, Buffer.from(`${head}\r\ncontent-type: ${headerValue(step.contentType)}\r\n\r\n`)]);
  }

  end(): Buffer {
    const added = this.#edits.add.filter(([name]) => !this.#seen.has(name) && !this.#skipped.has(name));
    const last = Buffer.from(`--${this.#boundary}--\r\n`);
    return Buffer.concat([this.#endOfFile(), ...added.map(([name, value]) => this.#field(name, value)), last]);
  }

  #endOfFile(): Buffer {
    if (!this.#isInFile) return NOTHING;
    this.#isInFile = false;
    return LINE_END;
  }

  #field(name: string, value: string): Buffer {
    return Buffer.from(`${this.#opening(name)}\r\n\r\n${value}\r\n`);
  }

  #opening(name: string): string {
    return `--${this.#boundary}\r\ncontent-disposition: form-data; name="${escaped(name)}"`;
  }
}

/** As browsers do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data */
function escaped(text: string): string {
  return text.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function headerValue(text: string): string {
  return /^[\x20-\x7e]+$/.test(text) ? text : 'application/octet-stream';
}
