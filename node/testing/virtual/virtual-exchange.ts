/**
 * One call between two nodes of a port network, from its request to its end, and how its payloads are written and read.
 * State: what has come and was not read yet.
 */

import { decode, encode } from 'cborg'
import type { Amounts } from '../../../protocols/budget/amounts.ts'
import type { Content, Method, Progress } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'

export interface VirtualExchange {
  readonly from: string
  readonly to: string
  readonly item: (value: unknown) => void
  /** Ends it on the caller's side; with an error, or well. */
  readonly end: (error?: Error) => void
  /** Whoever waits for it is no more: nothing is kept for it. @returns whether it was open */
  readonly forget: () => boolean
  readonly cancel: Cancel
  /** The handler reported progress: its time counts anew. */
  readonly progress: (report: Progress) => void
  /** What the handler has left of its budget. */
  readonly remainder: (left: Amounts) => void
}

/** Most handlers look at no signal: it is made for those that do. */
export class Cancel {
  #controller: AbortController | undefined
  #error: Error | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#error !== undefined) this.#controller.abort(this.#error)
    }
    return this.#controller.signal
  }

  abort(error: Error): void {
    this.#error ??= error
    this.#controller?.abort(error)
  }
}

/** Items as they come, for one reader. */
export const createItems = () => {
  const items: unknown[] = []
  let over: { error?: Error | undefined } | undefined
  let wake: () => void = () => {}
  async function* drain(): AsyncGenerator<unknown, void> {
    for (;;) {
      while (items.length > 0) yield items.shift()
      if (over?.error) throw over.error
      if (over) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    push: (value: unknown): void => {
      items.push(value)
      wake()
    },
    end: (error?: Error): void => {
      over ??= { error }
      wake()
    },
    drain,
  }
}

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

export const write = (content: Content = 'json', value: unknown): Uint8Array => {
  if (content === 'cbor') return encode(value)
  if (content === 'bytes') return value instanceof Uint8Array ? value.slice() : new Uint8Array()
  return ENCODER.encode(value === undefined ? '' : JSON.stringify(value))
}
export const read = (content: Content = 'json', bytes: Uint8Array): unknown => {
  if (content !== 'json') return content === 'cbor' ? decode(bytes) : bytes
  return bytes.length === 0 ? undefined : JSON.parse(DECODER.decode(bytes))
}

export const parse = (schema: Method['request'], value: unknown, what: string): unknown => {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new ParleyError('MSG001', `${what} does not match its schema: ${result.error.message}`, {
    hint: 'look at the schema of the method',
  })
}
export const replySchema = (method: Method): Method['request'] | undefined =>
  'stream' in method ? method.stream : 'response' in method ? method.response : undefined
