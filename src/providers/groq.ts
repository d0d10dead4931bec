import { reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { reasoningAs } from './parameter-rules.js';

/**
 * Groq: chat. Without log probabilities, logit bias and more than one choice. Reasoning comes and goes back as `reasoning`.
 * A stream's usage comes in `x_groq` where it was not asked for. A message's `name` is refused by Groq itself.
 * Sources: https://console.groq.com/docs/openai, https://console.groq.com/docs/api-reference
 */
const text = openAiCompatible({
  id: 'groq',
  docs: 'https://console.groq.com/docs/openai',
  baseUrl: 'https://api.groq.com/openai/v1',
  tasks: ['chat'],
  parameters: {
    chat: {
      leaveOut: ['store', 'metadata'],
      refuse: ['n', 'logprobs', 'top_logprobs', 'logit_bias'],
      messages: [reasoningAs('reasoning')],
    },
  },
  reshapes: [reasoningContent],
  sample: { id: 'groq', type: 'groq', api_keys: [`\${GROQ_API_KEY}`], model: 'openai/gpt-oss-20b' },
});

const formats = { formats: ['json', 'text', 'verbose_json'] };

/**
 * With speech, transcription and translation, answered whole and without subtitles.
 * Sources: https://console.groq.com/docs/text-to-speech, https://console.groq.com/docs/speech-to-text
 */
export const groq = withTasks(
  text,
  openAiMedia(['speech', 'transcription', 'audio-translation'], {
    defaultPath: '/openai/v1',
    streams: [],
    fields: { transcription: formats, 'audio-translation': formats },
  }),
);
