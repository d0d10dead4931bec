/** `bedrock-runtime.us-east-1.amazonaws.com`, FIPS hosts, and interface endpoints (`vpce-….bedrock-runtime.…`). */
const HOST = /^https?:\/\/(?:[^/]*\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\./i;
const REGION = /^[a-z]{2,}(-[a-z]+)+-\d+$/;

/** What requests are signed for where neither the address nor the entry names a region. */
export const DEFAULT_REGION = 'us-east-1';

/** The region an address names; null for an address that is not AWS's own. */
export function regionIn(url: string): string | null {
  return HOST.exec(url)?.[1]?.toLowerCase() ?? null;
}

/** An entry's `region`, where that is the name of one of AWS's; `eu` is a tag like any other. */
export function regionOf(tag: string | null | undefined): string | null {
  return typeof tag === 'string' && REGION.test(tag) ? tag : null;
}

/** Source: https://docs.aws.amazon.com/general/latest/gr/bedrock.html */
export function bedrockUrl(region: string): string {
  return `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
}
