/** What comes by stdin: lines, or one JSON text; with a bound on each. */
import { usageError } from '../output/exit-codes.ts'

const MAX_LINE_CHARS = 64 * 1024 * 1024

export async function* readInputLines(input: AsyncIterable<Buffer | string>, maxChars = MAX_LINE_CHARS) {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of input) {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    let from = 0
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', from)) {
      yield text.slice(from, at).replace(/\r$/, '')
      from = at + 1
    }
    text = text.slice(from)
    if (text.length > maxChars) throw usageError(`a line has more than ${maxChars} characters`, 'write shorter ones')
  }
  if (text !== '') yield text
}

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
