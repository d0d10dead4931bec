import { WaybillError } from '../domain/errors.js';
import type { TaskHelper, UpstreamTarget } from '../domain/provider.js';
import { writeObject } from '../wire/json-text.js';
import { readRerank } from '../wire/rerank.js';
import { membersOf, namedPayload } from './json-payload.js';
import { apiRoot } from './openai-compatible.js';

/**
 * Reranking as Cohere has it, and whoever follows it: `{model, query, documents, top_n}`.
 * `path` stands below the provider's own (`/v1` unless `defaultPath` says otherwise). Voyage calls the bound `top_k`.
 * Sources: https://docs.cohere.com/reference/rerank, https://jina.ai/reranker, https://docs.voyageai.com/reference/reranker-api
 */
export function rerankHelper(
  options: { path?: string; defaultPath?: string; topName?: 'top_n' | 'top_k' } = {},
): TaskHelper {
  const { path = '/rerank', defaultPath = '/v1', topName = 'top_n' } = options;
  return {
    makeRoute: (_request, target) => ({ method: 'POST', url: `${apiRoot(target.baseUrl, defaultPath)}${path}` }),
    preparePayload(request, target) {
      const members = membersOf(request, target);
      const top = members.get('top_n');
      if (topName !== 'top_n' && top !== undefined) {
        members.delete('top_n');
        members.set(topName, top);
      }
      return namedPayload(members, target);
    },
    getResponse: (answer, request, target) => readRerank(answer, request, target.providerModel),
  };
}

/**
 * Reranking as Text Embeddings Inference has it: `{query, texts}`, one model a server, every text ranked.
 * Source: https://huggingface.github.io/text-embeddings-inference/
 */
export function teiRerankHelper(rootOf: (target: UpstreamTarget) => string): TaskHelper {
  return {
    makeRoute: (_request, target) => ({ method: 'POST', url: `${rootOf(target)}/rerank` }),
    preparePayload(request, target) {
      const members = membersOf(request, target);
      const isText = members.get('return_documents') === 'true';
      for (const name of ['documents', 'top_n', 'return_documents']) members.delete(name);
      members.set('texts', JSON.stringify(textsOf(request.body.value['documents'])));
      if (isText) members.set('return_text', 'true');
      return { kind: 'json', body: writeObject(members) };
    },
    getResponse: (answer, request, target) => readRerank(answer, request, target.providerModel),
  };
}

function textsOf(documents: unknown): string[] {
  return (documents as readonly unknown[]).map((document, index) => {
    const text = typeof document === 'string' ? document : (document as { text?: unknown }).text;
    if (typeof text === 'string') return text;
    const param = `documents[${index}]`;
    throw new WaybillError('invalid_request', { message: `\`${param}\` must be a text for this provider`, param });
  });
}
