import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, type Daemon, startDaemon } from '../support/daemon.js';

let daemon: Daemon;

beforeAll(async () => {
  daemon = await startDaemon({ config: { llm_providers: [{ id: 'sandbox', type: 'sandbox' }] } });
});
afterAll(() => daemon?.stop());

const verify = async () => {
  const response = await daemon.post('/api/admin/v1/ledger/verify', {}, { authorization: `Bearer ${ADMIN_KEY}` });
  return { status: response.status, body: await response.json() };
};

describe('a running daemon', () => {
  it('verifies its ledger, names a row that was edited under it, and goes on serving', async () => {
    const ask = () =>
      daemon.post('/v1/chat/completions', {
        model: 'sandbox:sandbox-small',
        messages: [{ role: 'user', content: 'one two three' }],
      });
    const answers = await Promise.all(Array.from({ length: 20 }, ask));
    for (const answer of answers) expect(answer.status).toBe(200);
    expect(await verify()).toEqual({ status: 200, body: { ok: true, checked: 40, differences: [] } });

    const id = answers[7]?.headers.get('inference-id');
    const db = new Database(daemon.ledgerFile);
    db.prepare('UPDATE requests SET status = 201 WHERE inference_id = ?').run(id);
    db.close();
    expect((await verify()).body).toMatchObject({ ok: false, differences: [{ inference_id: id, attempt: null }] });
    expect((await ask()).status).toBe(200);
  });

  it('shows how long its commits take', async () => {
    const response = await fetch(`${daemon.url}/metrics`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
    const count = /^waybill_ledger_commit_seconds_count (\d+)$/m.exec(await response.text())?.[1];
    expect(Number(count)).toBeGreaterThan(1);
  });

  it('asks for the admin key before it verifies', async () => {
    expect((await daemon.post('/api/admin/v1/ledger/verify', {})).status).toBe(401);
  });
});
