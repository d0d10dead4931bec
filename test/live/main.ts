/** `npm run test:live -- PROVIDER`: asks the real provider once for everything its adapter can do. See CONTRIBUTING.md. */
import { relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/composition/clock.js';
import { adapters, findAdapter } from '../../src/providers/registry.js';
import { createUpstreamClient } from '../../src/upstream/client.js';
import { NotReadyError, openEntry } from './entry.js';
import { LIVE_FIXTURES } from './fixture.js';
import { parseModels } from './models.js';
import { FOLLOW_SECONDS, parseSeconds, runLive } from './run.js';

const USAGE = `Usage: npm run test:live -- PROVIDER [options]

Asks a provider once for each thing its adapter claims to do, with a key of the environment, checks the answers, and
writes each good exchange down without its secrets, as a fixture that the ordinary tests replay. It costs what it costs.

  --model TASK=ID   the model a task is tried with; several times. WAYBILL_LIVE_MODELS=TASK=ID,TASK=ID does the same
  --only NAME       one case (chat, "tools stream"), or the cases of a task; several times
  --base-url URL    where to ask instead of the provider's own address
  --follow SECONDS  how long a prediction is asked for that goes on by itself (${FOLLOW_SECONDS})
  --out DIR         where fixtures go (${relative(process.cwd(), LIVE_FIXTURES)})
  --dry             write nothing
  --help

Exit code 0: everything claimed was answered well. 1: something was not, or no model is known for it. 2: nothing was sent.
`;

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        model: { type: 'string', multiple: true, default: [] },
        only: { type: 'string', multiple: true, default: [] },
        'base-url': { type: 'string' },
        follow: { type: 'string', default: String(FOLLOW_SECONDS) },
        out: { type: 'string', default: LIVE_FIXTURES },
        dry: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    const [type] = positionals;
    const adapter = type === undefined ? null : findAdapter(type);
    if (adapter === null || positionals.length > 1) {
      throw new NotReadyError(`name one provider of: ${adapters.map(({ id }) => id).join(', ')}`);
    }
    const entry = openEntry(adapter, values['base-url'] ?? null, process.env);
    const models = parseModels([...(process.env['WAYBILL_LIVE_MODELS']?.split(',') ?? []), ...values.model]);
    const followMs = parseSeconds(values.follow) * 1_000;
    const client = createUpstreamClient({ clock: systemClock });
    try {
      const out = values.dry ? null : resolve(values.out);
      const run = { entry, models, only: values.only, out, followMs, client };
      return await runLive(run, (line) => process.stdout.write(`${line}\n`));
    } finally {
      await client.close();
    }
  } catch (error) {
    const isOption = (error as { code?: unknown }).code?.toString().startsWith('ERR_PARSE_ARGS') === true;
    if (!(error instanceof NotReadyError) && !isOption) throw error;
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
}
