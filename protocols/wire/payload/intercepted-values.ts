/**
 * Payloads as values, for interceptors on both sides of a call. Pure.
 *
 * Where the contract is at hand, its schemas check them (contract.ts). Where it is not, in the node of an agent that runs in
 * a worker thread, they are read and written as they are: the thread checks them, and so does the other side.
 */
import { WIRE_CONTENTS } from '../frames/frame.ts'
import type { CallerCodec, CallValues, Endpoint, ServedValues } from './contract.ts'
import { decodePayload, encodePayload } from './payload.ts'
import { decodeOpen, encodeOpen } from './payload-recovery.ts'

const NOTHING = new Uint8Array(0)

const readerOf = (content: number) => (bytes: Uint8Array) => {
  const name = WIRE_CONTENTS[content] ?? 'json'
  return name === 'json' ? decodeOpen(bytes) : decodePayload(name, bytes)
}
const writerOf = (content: number) => (value: unknown) => {
  const name = WIRE_CONTENTS[content] ?? 'json'
  return name === 'json' ? encodeOpen(value) : encodePayload(name, value)
}

export async function* mapItems<T, R>(
  items: AsyncIterable<T>,
  map: (item: T) => R,
): AsyncGenerator<R, void, undefined> {
  for await (const item of items) yield map(item)
}

const bytesOf = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : NOTHING)

export const callValuesOf = ({ values, content }: CallerCodec): CallValues => {
  if (values !== undefined) return values
  const read = readerOf(content)
  const write = writerOf(content)
  return { read, write, value: (answer) => read(bytesOf(answer)), answer: write }
}

export const servedValuesOf = ({ values, content, kind, run }: Endpoint): ServedValues => {
  if (values !== undefined) return values
  const read = readerOf(content)
  const write = writerOf(content)
  return {
    request: read,
    handle(request, context) {
      const result = run(write(request), context)
      if (kind === 'one-way') return result
      if (result instanceof Promise) return result.then(read)
      return result instanceof Uint8Array ? read(result) : mapItems(result, read)
    },
    answer: (value) => (kind === 'one-way' ? NOTHING : write(value)),
  }
}
