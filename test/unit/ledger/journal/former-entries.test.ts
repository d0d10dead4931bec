import { expect, it } from 'vitest';
import { splitFormerEntries } from '../../../../src/ledger/journal/former-entries.js';
import { toRowEntry } from '../../../../src/ledger/journal/row-entry.js';
import { anAttempt, anAttemptEnd, aUsage, intentOf, START, settlementOf } from '../../../conformance/ledger-entries.js';

it('makes rows of the entries of version 1 as of any other', () => {
  const text = `[
    [["a",${START}.5,"team-a",{"team":"ü"},"/v1/chat/completions","chat","llama","eu",true,7],
     ["a",1,${START + 1},"hf","big",null,"eu","9000","price-1",40],null,null],
    [null,["a",2,${START + 2},"hf","big","key",null,null,null,null],
     ["a",1,${START + 50},${START + 20}.5,"failed",502,"server_error",["estimated",1,null,3,4,5,6,7,8,9,10,11],"4000",null,"price-1",
      [["input",10,"400000000"],["output",5,"0"]],"1e-6"],null],
    [null,null,["a",2,${START + 50},null,"ok",200,null,null,null,"no-price",null,[],null],
     ["a",${START + 60},"ok",200,null,{"candidates":[1]}]],
    [null,null,null,["b",${START + 60},"refused",429,"rate_limited",null]]
  ]`;
  const usage = aUsage(
    {
      input: 1,
      cacheWrite: 3,
      output: 4,
      reasoning: 5,
      audioInput: 6,
      audioOutput: 7,
      images: 8,
      characters: 9,
      audioMs: 10,
      searchUnits: 11,
    },
    'estimated',
  );
  const components = [
    { class: 'input' as const, units: 10, ratePerMillion: 400_000_000n },
    { class: 'output' as const, units: 5, ratePerMillion: 0n },
  ];
  const unpriced = { firstByteAt: null, usage: null, costNanoUsd: null, unpricedReason: 'no-price', priceId: null };
  const expected = [
    intentOf('a', {
      request: { receivedAt: START + 0.5, tags: { team: 'ü' }, region: 'eu', stream: true, configGeneration: 7 },
      attempt: { providerModel: 'big', key: null, region: 'eu' },
    }),
    {
      attemptIntent: anAttempt({
        inferenceId: 'a',
        attempt: 2,
        sentAt: START + 2,
        providerModel: 'big',
        key: 'key',
        heldNanoUsd: null,
        priceId: null,
        reservedTokens: null,
      }),
      attemptSettlement: anAttemptEnd({
        inferenceId: 'a',
        firstByteAt: START + 20.5,
        outcome: 'failed',
        status: 502,
        errorCode: 'server_error',
        usage,
        components,
        providerCostUsd: '1e-6',
      }),
    },
    settlementOf('a', {
      attempt: { attempt: 2, ...unpriced, components: [] },
      request: { decision: { candidates: [1] } },
    }),
    {
      requestSettlement: {
        inferenceId: 'b',
        endedAt: START + 60,
        outcome: 'refused' as const,
        status: 429,
        errorCode: 'rate_limited',
        decision: null,
      },
    },
  ];
  expect(splitFormerEntries(text)).toEqual(expected.map(toRowEntry));
});
