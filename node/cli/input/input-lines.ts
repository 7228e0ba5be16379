/** Lines from stdin, one after the other, with a bound on each. Keeps no state. */
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
