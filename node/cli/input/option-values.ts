/** Values of options, from text. Keeps no state. */
import { InvalidArgumentError } from 'commander'
import { usageError } from '../output/exit-codes.ts'

/** @returns a parser for commander: a whole number within the range */
export const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Use a whole number from ${least} to ${most}.`)
  }

/** `['zone=a', 'gpu=2']` */
export const parseLabels = (given: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw usageError(`label ${JSON.stringify(text)} is not usable`, 'write it as name=value')
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )

const MAX_INPUT_BYTES = 64 * 1024 * 1024

const readStdin = async (): Promise<string> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MAX_INPUT_BYTES)
      throw usageError(`the input has more than ${MAX_INPUT_BYTES} bytes`, 'send it in parts')
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The input of a call: JSON in the argument, `-` for stdin, an empty object unless given. */
export const readJsonInput = async (text: string | undefined): Promise<unknown> => {
  const json = text === '-' ? await readStdin() : (text ?? '{}')
  try {
    return JSON.parse(json)
  } catch (error) {
    throw usageError(
      `the input is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      `put it in single quotes, as in '{"text":"hello"}', or pipe it in with -`,
    )
  }
}
