const OPTIONS = { duration: true, skipCovers: true, skipPostHeaders: true } as const;

/**
 * Length of a whole recording in milliseconds, from its own headers (WAV, MP3, OGG, FLAC, MP4, WebM, …); null where they
 * do not say, or are none. The library is loaded by the first recording: most daemons never see one.
 */
export async function audioLength(audio: Buffer, contentType: string): Promise<number | null> {
  const { parseBuffer } = await import('music-metadata');
  try {
    const { format } = await parseBuffer(audio, { mimeType: contentType, size: audio.length }, OPTIONS);
    const { duration } = format;
    return duration === undefined || !Number.isFinite(duration) || duration <= 0 ? null : Math.ceil(duration * 1_000);
  } catch {
    // No recording, or one in a format that is not known: what it is called for is an estimate.
    return null;
  }
}
