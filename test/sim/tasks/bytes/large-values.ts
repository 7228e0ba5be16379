/** Large values that simulated tasks have, each made of what it belongs to, so that any other one is found out. Pure. */

/** Bytes, above what stands in the journal. */
const LEAST_BYTES = 20_000
const MORE_BYTES = 20_000

/** Which value of a task is a large one. */
export const LARGE = ['input', 'effect', 'checkpoint', 'result'] as const
export type Large = (typeof LARGE)[number]

export const padOf = (large: Large, number: number): string =>
  `${large} ${number} `.repeat(LEAST_BYTES).slice(0, LEAST_BYTES + ((number * 977) % MORE_BYTES))

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

/** Of an effect, as bytes. */
export const bytesOf = (number: number): Uint8Array => ENCODER.encode(padOf('effect', number))
export const isBytesOf = (number: number, value: unknown): boolean =>
  value instanceof Uint8Array && DECODER.decode(value) === padOf('effect', number)
