/**
 * Streams of the control socket: one JSON object a line (NDJSON), written as fast as the reader takes them and no faster.
 *
 * State: one item on its way for each stream. Guarantees: a stream holds at most one chunk of text; an idle one sends an
 * empty object each `beatMs`, so that both sides notice that the other is gone; it ends with `{"type":"end"}`, or with
 * `{"type":"error","error":…}`; a stream that just stops was cut off. Bytes are written in base64.
 */
import type * as z from 'zod'
import { ParleyError } from '../../protocols/errors.ts'
import { errorOf, FaultSchema, faultOf, MAX_LINE_CHARS } from './control-schemas.ts'

export const BEAT_MS = 10_000
/** Characters after which a chunk is sent, though more is there. */
const CHUNK_CHARS = 64 * 1024

/** What JSON cannot hold as something that it can. */
const plain = (_key: string, value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return typeof value === 'bigint' ? String(value) : value
}

export const ndjsonLine = (value: unknown): string => `${JSON.stringify(value, plain)}\n`

export interface NdjsonFeed {
  readonly stream: ReadableStream<Uint8Array>
  /** Ends it with this error. */
  end(error: ParleyError): void
}

/**
 * @param run makes the items; its signal is aborted when nobody reads any more
 * @param over called once, however it ended
 */
export const createNdjsonFeed = (
  run: (signal: AbortSignal) => AsyncIterable<unknown>,
  over: () => void,
  beatMs: number = BEAT_MS,
): NdjsonFeed => {
  const leave = new AbortController()
  const encoder = new TextEncoder()
  let items: AsyncIterator<unknown> | undefined
  let pending: Promise<IteratorResult<unknown>> | undefined
  let isOver = false

  const finish = (reason: unknown): void => {
    if (isOver) return
    isOver = true
    leave.abort(reason)
    items?.return?.()?.catch(() => {})
    over()
  }
  /** What is at hand at once, so that many small items make few chunks. */
  const soon = <T>(promise: Promise<T>): Promise<T | undefined> =>
    Promise.race([promise, new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)))])

  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let text = ''
        let isLast = false
        try {
          items ??= run(leave.signal)[Symbol.asyncIterator]()
          while (text.length < CHUNK_CHARS) {
            pending ??= items.next()
            let next: IteratorResult<unknown> | undefined
            if (text === '') {
              let timer: NodeJS.Timeout | undefined
              const beat = new Promise<undefined>((resolve) => {
                timer = setTimeout(() => resolve(undefined), beatMs)
              })
              next = await Promise.race([pending, beat]).finally(() => clearTimeout(timer))
              if (next === undefined) text = '{}\n'
            } else next = await soon(pending)
            if (next === undefined) break
            pending = undefined
            isLast = next.done === true
            text += ndjsonLine(isLast ? { type: 'end' } : next.value)
            if (isLast) break
          }
        } catch (error) {
          isLast = true
          text += ndjsonLine({ type: 'error', error: faultOf(error) })
        }
        if (isOver) return
        controller.enqueue(encoder.encode(text))
        if (!isLast) return
        controller.close()
        finish(undefined)
      },
      cancel(reason) {
        finish(reason ?? new ParleyError('COM001', 'the reader left', { hint: 'nobody waits for this any more' }))
      },
    },
    { highWaterMark: 0 },
  )
  return { stream, end: (error) => leave.abort(error) }
}

const parse = (line: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // Said below.
  }
  throw new ParleyError('MSG003', 'the node sent a line that is no JSON object', {
    hint: 'the command and the node may be of different versions: see `parley --version` and `parley id`',
  })
}

/**
 * The items of a stream as it comes in.
 * @param cutOff the error for one that stops without an end
 * @throws what the stream ended with; MSG003 for what cannot be read
 */
export async function* readNdjsonFeed<S extends z.ZodType>(
  chunks: AsyncIterable<Buffer>,
  schema: S,
  cutOff: () => Error,
): AsyncGenerator<z.output<S>, void, undefined> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    let from = 0
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', from)) {
      const line = parse(text.slice(from, at))
      from = at + 1
      if (line.type === 'end') return
      if (line.type === 'error') throw errorOf(FaultSchema.parse(line.error))
      // A line of a newer node is left out; an empty one says that the node is there.
      const item = schema.safeParse(line)
      if (item.success) yield item.data
    }
    text = text.slice(from)
    if (text.length > MAX_LINE_CHARS) {
      throw new ParleyError('MSG003', `the node sent a line of more than ${MAX_LINE_CHARS} characters`, {
        hint: 'ask for less at a time',
      })
    }
  }
  throw cutOff()
}
