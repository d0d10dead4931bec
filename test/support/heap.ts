import { getHeapSnapshot } from 'node:v8';

/** Whether a text is anywhere in this process' heap. It is made anew for each look, so that the look itself keeps none. */
export async function isInHeap(text: () => string): Promise<boolean> {
  let rest = '';
  let isFound = false;
  for await (const chunk of getHeapSnapshot()) {
    isFound ||= `${rest}${chunk}`.includes(text());
    rest = String(chunk).slice(-100);
  }
  return isFound;
}
