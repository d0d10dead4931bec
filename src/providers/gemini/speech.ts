import type { AnswerOutcome, Payload, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';
import { faultIn, malformed } from '../../wire/fault.js';
import { writeObject } from '../../wire/json-text.js';
import { refuse } from '../../wire/task-request.js';
import { membersOf } from '../json-payload.js';
import { applyRules, type ParameterRules } from '../parameter-rules.js';
import { contentsOf, inlineData, whyNone } from './images.js';
import { parseAnswer } from './response.js';
import { readUsage } from './usage.js';

const RULES: ParameterRules = {
  leaveOut: ['user', 'stream', 'stream_format'],
  refuse: ['instructions', 'speed'],
};
const DEFAULT_RATE = 24_000;
const WAV_HEAD_BYTES = 44;

/**
 * `generateContent` with speech as its only modality, `voice` being the name of a prebuilt one. Samples come, 16 bits and
 * mono: `pcm` is what they are, `wav` has a head before them, and is what comes where no format is asked for.
 * Source: https://ai.google.dev/gemini-api/docs/speech-generation
 * @throws WaybillError invalid_request that names what has no place there
 */
export function prepareSpeech(request: TaskRequest, target: UpstreamTarget): Payload {
  if (request.stream) refuse('stream_format', 'this provider answers whole; leave it out');
  const rest = membersOf(request, target, applyRules(request, target, RULES));
  const take = (name: string): string => {
    const raw = rest.get(name) ?? 'null';
    rest.delete(name);
    return raw;
  };
  const [input, voice, format] = [take('input'), take('voice'), take('response_format')];
  if (!['null', '"wav"', '"pcm"'].includes(format)) refuse('response_format', 'is `wav` or `pcm` at Gemini');
  const config = new Map([['responseModalities', '["AUDIO"]'], ...rest]);
  if (voice !== 'null' && !config.has('speechConfig')) {
    config.set('speechConfig', `{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":${voice}}}}`);
  }
  return { kind: 'json', body: `${contentsOf(input)},"generationConfig":${writeObject(config)}}` };
}

/** The samples of the answer as they were asked for, and the tokens they cost. */
export function readSpeech(answer: UpstreamAnswer, request: TaskRequest): AnswerOutcome {
  const parsed = parseAnswer(answer);
  if ('fault' in parsed) return { ok: false, fault: parsed.fault, usage: null };
  const { value } = parsed;
  const usage = readUsage(value['usageMetadata'])?.report ?? null;
  const [sound] = inlineData(value);
  const fault = faultIn(value) ?? (sound === undefined ? whyNone(value) : null);
  if (fault !== null || sound === undefined) return { ok: false, fault: fault ?? malformed('no sound'), usage };
  const samples = Buffer.from(sound.data, 'base64');
  const isRaw = /^audio\/(l16|pcm)\b/i.test(sound.mimeType);
  const asked = request.body.value['response_format'];
  const outputTexts = () => [];
  if (!isRaw || asked === 'pcm') {
    return { ok: true, answer: { body: samples, contentType: sound.mimeType, usage, outputTexts } };
  }
  const rate = Number(/rate=(\d+)/.exec(sound.mimeType)?.[1] ?? DEFAULT_RATE);
  const body = Buffer.concat([wavHead(samples.length, rate), samples]);
  return { ok: true, answer: { body, contentType: 'audio/wav', usage, outputTexts } };
}

/** Of samples of 16 bits, mono. Source: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html */
function wavHead(bytes: number, rate: number): Buffer {
  const head = Buffer.alloc(WAV_HEAD_BYTES);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(WAV_HEAD_BYTES - 8 + bytes, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(bytes, 40);
  return head;
}
