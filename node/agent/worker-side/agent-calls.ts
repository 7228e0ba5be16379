/**
 * Calls from a worker thread: the same as the mesh's own, carried out by the node.
 *
 * What travels between the threads is bytes; answers are read and checked here, where the contract is.
 */

import { ParleyError } from '../../../protocols/errors.ts'
import type { RequestInWork } from '../../../protocols/request-in-work.ts'
import { BudgetedStream, budgetedOne } from '../../calls/budgeted-calls.ts'
import type { ByteCallOptions, ByteCalls, CallAddress, Reply } from '../../calls/clients.ts'
import type { MethodCodec } from '../../calls/method-codecs.ts'
import { clock } from '../../platform/platform.ts'
import type { ChannelRequestOptions } from '../channel/channel-requester.ts'
import type { ThreadChannel } from '../channel/thread-channel.ts'
import type {
  FailoverNotice,
  ProgressNotice,
  RemainderNotice,
  RequestToNode,
  TargetFacts,
  ThreadCallRequest,
  TransferableReply,
} from '../channel/thread-requests.ts'
import { fromTransferableError } from '../channel/transferable.ts'

const factsOf = ({ codec, protocol, major, protocolId, version }: MethodCodec): TargetFacts => {
  const { encode: _, decode: __, revise: ___, values: ____, ...facts } = codec
  return { ...facts, protocol, major, protocolId, version }
}

const EMPTY = new Uint8Array(0)

type NoticeTakers = { [K in 'onFailover' | 'onProgress' | 'share']: ByteCallOptions[K] | undefined }

const runOf = (parent: (RequestInWork & { readonly run?: number }) | undefined): number | undefined => parent?.run

const decode = (target: MethodCodec, value: unknown): unknown =>
  target.codec.decode(value instanceof Uint8Array ? value : EMPTY)

const toReply = (target: MethodCodec, reply: TransferableReply): Reply<unknown> => {
  const { peer, name } = reply
  if ('failure' in reply) return { peer, name, error: fromTransferableError(reply.failure) }
  try {
    return { peer, name, value: decode(target, reply.value) }
  } catch (error) {
    return { peer, name, error }
  }
}

/** What the node says beside a call. */
const noticed =
  ({ onFailover, onProgress, share }: NoticeTakers) =>
  (value: unknown): void => {
    // It writes nothing else there.
    const notice = value as FailoverNotice | ProgressNotice | RemainderNotice
    if ('remaining' in notice) {
      if (notice.isUnused === true) share?.failed(true)
      else share?.told(notice.remaining)
    } else if ('failure' in notice) onFailover?.(notice.peer, fromTransferableError(notice.failure))
    else onProgress?.(notice.progress, notice.peer)
  }

export const createAgentCalls = (channel: ThreadChannel): ByteCalls => {
  const prepare = (
    what: ThreadCallRequest['what'],
    address: CallAddress,
    target: MethodCodec,
    bytes: Uint8Array,
    { signal, onFailover, onProgress, parent, childCalls: _, budget: __, share, ...options }: ByteCallOptions,
  ): [RequestToNode, ChannelRequestOptions] => [
    {
      ...{ what, address, target: factsOf(target) },
      options: { ...options, reports: onProgress !== undefined, run: runOf(parent), carried: share?.begin() },
    },
    {
      bytes,
      signal,
      ...(share !== undefined && { onSent: () => share.sent() }),
      ...((onFailover ?? onProgress ?? share) !== undefined && {
        onNotice: noticed({ onFailover, onProgress, share }),
      }),
    },
  ]

  /** No generator: its return() would wait for a next() that is open. */
  const stream = (
    target: MethodCodec,
    [body, options]: [RequestToNode, ChannelRequestOptions],
  ): AsyncIterableIterator<unknown> => {
    const items = channel.stream(body, options)
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      async next() {
        const result = await items.next()
        if (result.done === true) return { value: undefined, done: true }
        try {
          return { value: decode(target, result.value), done: false }
        } catch (error) {
          await items.return?.()
          throw error
        }
      },
      async return() {
        await items.return?.()
        return { value: undefined, done: true }
      },
    }
  }

  /** Counted here: only here is it known whether an answer fits its contract. */
  async function* all(
    target: MethodCodec,
    [body, options]: [RequestToNode, ChannelRequestOptions],
    count: number,
  ): AsyncGenerator<Reply<unknown>, void> {
    let succeeded = 0
    if (count <= 0) return
    for await (const item of channel.stream(body, options)) {
      // The node writes nothing else into a scatter-gather.
      const reply = toReply(target, item as TransferableReply)
      yield reply
      if ('value' in reply) succeeded += 1
      if (succeeded >= count) return
    }
  }

  const one: ByteCalls['one'] = async (address, target, payload, options) => {
    const value = await channel.request(...prepare('one', address, target, payload, options))
    // With replyTo the node has made an Accepted of the answer already.
    return options.replyTo === undefined ? decode(target, value) : value
  }

  return {
    one: (address, target, payload, options) =>
      options.budget === undefined
        ? one(address, target, payload, options)
        : budgetedOne(clock, target, options, (own) => one(address, target, payload, own)),
    stream(address, target, payload, options) {
      const open = (own: ByteCallOptions) => stream(target, prepare('stream', address, target, payload, own))
      return options.budget === undefined ? open(options) : new BudgetedStream(clock, target, options, open)
    },
    all(address, target, payload, { count = Number.POSITIVE_INFINITY, ...options }) {
      // The node knows who they are, and the budget is here.
      if (options.budget !== undefined)
        throw new ParleyError('MSG001', 'an agent in a thread cannot split a budget among all', {
          hint: 'call each of them by itself, each with its own part',
        })
      return all(target, prepare('all', address, target, payload, options), count)
    },
  }
}
