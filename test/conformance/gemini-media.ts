import type { Task } from '../../src/domain/task.js';
import type { UnitTaskFixture } from './unit-tasks.js';

/** Images and speech of Gemini, in its own shapes. */

const JSON_TYPE = 'application/json';
const GENERATE = '/v1beta/models/vendor/model-1:generateContent';
const SAMPLES = Buffer.from([1, 0, 2, 0]);
const METADATA =
  '"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":1290,"totalTokenCount":1294,"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":1290}]}';

const answerWith = (part: string, rest = '') =>
  `{"candidates":[{"content":{"parts":[${part}],"role":"model"},"finishReason":"STOP","index":0}]${rest}}`;
const PICTURE = answerWith('{"inlineData":{"mimeType":"image/png","data":"AAAA"}}', `,${METADATA}`);
const PREDICTED =
  '{"predictions":[{"mimeType":"image/png","bytesBase64Encoded":"AAAA"},{"raiFilteredReason":"blocked"},{"mimeType":"image/png","bytesBase64Encoded":"BBBB"}]}';
const SPOKEN = answerWith(
  `{"inlineData":{"mimeType":"audio/L16;codec=pcm;rate=24000","data":"${SAMPLES.toString('base64')}"}}`,
  ',"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":30,"totalTokenCount":34,"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":30}]}',
);

/** 24 kHz, mono, 16 bits, two samples. */
const WAV = Buffer.concat([
  Buffer.from('RIFF\x28\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00', 'latin1'),
  Buffer.from([0xc0, 0x5d, 0, 0, 0x80, 0xbb, 0, 0, 2, 0, 16, 0]),
  Buffer.from('data\x04\x00\x00\x00', 'latin1'),
  SAMPLES,
]);

const nothing = ['nothing', '', JSON_TYPE] as const;
const html = ['a web page', '<html>busy</html>', 'text/html'] as const;
const other = ['another shape', '{"hello":"world"}', JSON_TYPE] as const;
const words = ['words alone', answerWith('{"text":"I cannot."}'), JSON_TYPE] as const;

const images = (...data: string[]) => ({ created: 0, data: data.map((b64_json) => ({ b64_json })) });
const said = (text: string) => [{ role: 'user', parts: [{ text }] }];

const speech: UnitTaskFixture = {
  name: 'speech of a model of Gemini',
  request: { json: { model: 'asked-model', input: 'Hello', voice: 'Kore', seed: 7 } },
  sends: {
    path: GENERATE,
    json: {
      contents: said('Hello'),
      generationConfig: {
        responseModalities: ['AUDIO'],
        seed: 7,
        speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: 'Kore' } } },
      },
    },
  },
  answer: {
    body: SPOKEN,
    contentType: JSON_TYPE,
    givesBytes: WAV,
    givesType: 'audio/wav',
    usage: { input: 4, output: 0, audioOutput: 30 },
  },
  malformed: [nothing, html, other, words],
};

export const geminiMedia: Partial<Record<Task, UnitTaskFixture[]>> = {
  image: [
    {
      name: 'an image of a model of Gemini',
      request: { json: { model: 'asked-model', prompt: 'a boat', n: 1, size: '1536x1024', temperature: 0.5 } },
      sends: {
        path: GENERATE,
        json: {
          contents: said('a boat'),
          generationConfig: { responseModalities: ['IMAGE'], temperature: 0.5, imageConfig: { aspectRatio: '3:2' } },
        },
      },
      answer: {
        body: PICTURE,
        contentType: JSON_TYPE,
        gives: images('AAAA'),
        usage: { images: 1, input: 4, output: 1290 },
      },
      malformed: [nothing, html, other, words],
    },
    {
      name: 'images of Imagen',
      target: { providerModel: 'imagen-4.0-generate-001' },
      request: {
        json: { model: 'asked-model', prompt: 'a boat', n: 3, size: '1024x1024', personGeneration: 'dont_allow' },
      },
      sends: {
        path: '/v1beta/models/imagen-4.0-generate-001:predict',
        json: {
          instances: [{ prompt: 'a boat' }],
          parameters: { sampleCount: 3, aspectRatio: '1:1', personGeneration: 'dont_allow' },
        },
      },
      answer: { body: PREDICTED, contentType: JSON_TYPE, gives: images('AAAA', 'BBBB'), usage: { images: 2 } },
      malformed: [nothing, html, other, ['no image', '{"predictions":[]}', JSON_TYPE]],
    },
  ],
  speech: [
    speech,
    {
      ...speech,
      name: 'speech as samples',
      request: { json: { model: 'asked-model', input: 'Hello', voice: 'Kore', seed: 7, response_format: 'pcm' } },
      answer: { ...speech.answer, givesBytes: SAMPLES, givesType: 'audio/L16' },
    },
  ],
};
