import { parseBuffer } from 'music-metadata';

/**
 * Length of a whole recording in milliseconds, from its own headers (WAV, MP3, OGG, FLAC, MP4, WebM, …); null where they
 * do not say, or are none.
 */
export async function audioLength(audio: Buffer, contentType: string): Promise<number | null> {
  try {
    const { format } = await parseBuffer(audio, { mimeType: contentType, size: audio.length }, OPTIONS);
    const { duration } = format;
    return duration === undefined || !Number.isFinite(duration) || duration <= 0 ? null : Math.ceil(duration * 1_000);
  } catch {
    // No recording, or one in a format that is not known: what it is called for is an estimate.
    return null;
  }
}

const OPTIONS = { duration: true, skipCovers: true, skipPostHeaders: true } as const;
