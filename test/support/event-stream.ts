import { crc32 } from 'node:zlib';

/** One message of `application/vnd.amazon.eventstream`, written by hand: https://smithy.io/2.0/aws/amazon-eventstream.html */
export function eventMessage(headers: Record<string, string>, payload: string): Buffer {
  const encoded = Object.entries(headers).map(([name, value]) => {
    const text = Buffer.from(value);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(text.length);
    return Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name), Buffer.from([7]), length, text]);
  });
  const head = Buffer.concat(encoded);
  const body = Buffer.from(payload);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(16 + head.length + body.length, 0);
  lengths.writeUInt32BE(head.length, 4);
  const prelude = Buffer.concat([lengths, checksum(lengths)]);
  const message = Buffer.concat([prelude, head, body]);
  return Buffer.concat([message, checksum(message)]);
}

/** An event as Bedrock sends it, with its padding. */
export function converseEvent(type: string, value: object): Buffer {
  const headers = { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' };
  return eventMessage(headers, JSON.stringify({ ...value, p: 'abcdefgh' }));
}

export function converseException(type: string, message: string): Buffer {
  const headers = { ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' };
  return eventMessage(headers, JSON.stringify({ message }));
}

function checksum(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum;
}
