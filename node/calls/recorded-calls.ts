/**
 * Calls of a conversation, noted beside its messages on both sides: what this node calls, and what it is asked. Keeps no
 * state; a call without a conversationId goes by as it is.
 */
import type { CallEndListener, ConversationCall } from '../../protocols/delivery/conversations/conversation-log.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { WIRE_CONTENTS } from '../../protocols/wire/frames/frame.ts'
import type { Endpoint, RunMethod, Served } from '../../protocols/wire/payload/contract.ts'
import type { MethodCodec } from './method-codecs.ts'
import type { RetryingCall } from './retrying-call.ts'

/** @returns undefined where it is not remembered */
export type RecordCall = (call: ConversationCall) => CallEndListener | undefined

const codeOf = (error: unknown): string => (isParleyError(error) ? error.code : 'APP001')

const contentOf = ({ content }: { readonly content: number }): ConversationCall['content'] =>
  WIRE_CONTENTS[content] ?? 'json'

const noteOutcome = <T>(outcome: Promise<T>, ended: CallEndListener | undefined): Promise<T> => {
  if (ended !== undefined)
    outcome.then(
      () => ended(),
      (error: unknown) => ended(codeOf(error)),
    )
  return outcome
}

/** How it ends first is how it ended. */
const noteItems = <T>(items: AsyncIterator<T>, ended: CallEndListener): AsyncIterableIterator<T> => {
  let isOver = false
  const end = (code?: string): void => {
    if (!isOver) ended(code)
    isOver = true
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      try {
        const result = await items.next()
        if (result.done === true) end()
        return result
      } catch (error) {
        end(codeOf(error))
        throw error
      }
    },
    /** Who reads no further has what it wanted. */
    async return() {
      end()
      await items.return?.()
      return { value: undefined, done: true }
    },
  }
}

/** What this node calls. */
export const recordOwnCalls = (invoke: RetryingCall, note: RecordCall): RetryingCall => {
  const begin = (peer: string, { codec }: MethodCodec, payload: Uint8Array, conversationId: string) =>
    note({ label: codec.label, direction: 'sent', peer, content: contentOf(codec), payload, conversationId })

  return {
    unary(peer, target, payload, options) {
      if (options.conversationId === undefined) return invoke.unary(peer, target, payload, options)
      const ended = begin(peer, target, payload, options.conversationId)
      return noteOutcome(invoke.unary(peer, target, payload, options), ended)
    },
    oneWay(peer, target, payload, options) {
      if (options.conversationId === undefined) return invoke.oneWay(peer, target, payload, options)
      const ended = begin(peer, target, payload, options.conversationId)
      return noteOutcome(invoke.oneWay(peer, target, payload, options), ended)
    },
    stream(peer, target, payload, options) {
      const items = invoke.stream(peer, target, payload, options)
      if (options.conversationId === undefined) return items
      const ended = begin(peer, target, payload, options.conversationId)
      return ended === undefined ? items : noteItems(items, ended)
    },
  }
}

const notedRun = (protocol: string, endpoint: Endpoint, note: RecordCall): RunMethod => {
  const label = `${protocol}.${endpoint.name}`
  const content = contentOf(endpoint)
  return (payload, context) => {
    const { conversationId, peer } = context
    if (conversationId === undefined) return endpoint.run(payload, context)
    const ended = note({ label, direction: 'received', peer, content, payload, conversationId })
    if (ended === undefined) return endpoint.run(payload, context)
    try {
      const result = endpoint.run(payload, context)
      if (result instanceof Promise) return noteOutcome(result, ended)
      if (Symbol.asyncIterator in result) return noteItems(result[Symbol.asyncIterator](), ended)
      ended()
      return result
    } catch (error) {
      ended(codeOf(error))
      throw error
    }
  }
}

/** What this node is asked. */
export const recordRequests = (served: Served, note: RecordCall): Served => ({
  ...served,
  methods: new Map(
    [...served.methods].map(([name, endpoint]) => [name, { ...endpoint, run: notedRun(served.name, endpoint, note) }]),
  ),
})
