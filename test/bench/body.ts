/**
 * The message that every system carries: the JSON text `{"data":"..."}` of an exact size in bytes.
 *
 * `data` begins with ten digits (a sequence number) and, for events, sixteen characters of send time, so that no two
 * messages are alike and an answer can be checked. Every system encodes and decodes it on both sides.
 */
export interface Body {
  data: string
}

/** The cheap check of an end that has no schema of its own: the measured systems do not pay for ours. */
export const asBody = (value: unknown): Body => {
  if (typeof value === 'object' && value !== null && 'data' in value && typeof value.data === 'string') {
    return { data: value.data }
  }
  throw new Error('what came is not a body of the bench')
}

/** Bytes of `{"data":""}`. */
const FRAME_BYTES = 11
const SEQUENCE_CHARS = 10
const TIME_CHARS = 16
export const MIN_BODY_BYTES = FRAME_BYTES + SEQUENCE_CHARS + TIME_CHARS

/** Milliseconds on a clock that all processes of one machine share and that never goes back. */
export const sharedNowMs = (): number => Number(process.hrtime.bigint()) / 1e6

/**
 * Makes bodies of exactly `bytes` bytes as JSON.
 * @param bytes at least MIN_BODY_BYTES
 */
export const bodies = (bytes: number): ((sequence: number, sentAtMs?: number) => Body) => {
  if (bytes < MIN_BODY_BYTES) throw new RangeError(`a body of ${bytes} bytes is below ${MIN_BODY_BYTES}`)
  const filler = 'x'.repeat(bytes - MIN_BODY_BYTES)
  return (sequence, sentAtMs = 0) => ({
    data:
      String(sequence).padStart(SEQUENCE_CHARS, '0') +
      sentAtMs.toFixed(3).padStart(TIME_CHARS, '0').slice(-TIME_CHARS) +
      filler,
  })
}

export const sequenceOf = (body: Body): number => Number(body.data.slice(0, SEQUENCE_CHARS))
export const sentAtMsOf = (body: Body): number => Number(body.data.slice(SEQUENCE_CHARS, SEQUENCE_CHARS + TIME_CHARS))
