/**
 * What an agent in a worker thread requests of its node, carried out on the mesh: calls, events, views, log lines.
 * Payloads pass through as the bytes that they are: the contract's schemas are in the worker.
 */
import * as z from 'zod'
import { GivenShare } from '../../protocols/budget/carried/budget-share.ts'
import { sliceOf } from '../../protocols/budget/carried/carried-budget.ts'
import type { Progress } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { ChildCalls } from '../../protocols/wire/child-calls.ts'
import type { Mesh } from '../api.ts'
import { isUnhandled } from '../calls/budgeted-calls.ts'
import type { ByteCallOptions, Reply } from '../calls/clients.ts'
import type { MethodCodec } from '../calls/method-codecs.ts'
import { internalsOf } from '../lifecycle/mesh-internals.ts'
import { clock } from '../platform/platform.ts'
import type { ChannelRequestContext, ChannelRequestHandler } from './channel/channel-message.ts'
import type {
  FailoverNotice,
  OfferFacts,
  ProgressNotice,
  RemainderNotice,
  RequestToNode,
  TargetFacts,
  ThreadCallRequest,
  ThreadPublishRequest,
  TransferableReply,
} from './channel/thread-requests.ts'
import { exactBytes, type TransferableError, toTransferableError } from './channel/transferable.ts'
import { relayEvents } from './event-relay.ts'

/** What the worker reports of itself. */
export interface WorkerLifecycle {
  offered(offers: readonly OfferFacts[]): Promise<void>
  started(): void
  failed(failure: TransferableError): void
  /** Of a run that is in the agent. */
  childCallsOf(run: number): ChildCalls | undefined
}

const UNEXPECTED = 'the node could not carry the call out'
const EMPTY = new Uint8Array(0)
const Anything = z.unknown()

const toBytes = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : EMPTY)

const toCallable = ({ protocol, version, major, protocolId, ...facts }: TargetFacts): MethodCodec => ({
  protocol,
  version,
  major,
  protocolId,
  codec: { ...facts, encode: toBytes, decode: (bytes) => bytes },
})

const optionsOf = (
  { options: { reports, carried: _, run, ...options } }: ThreadCallRequest,
  { signal, notify }: ChannelRequestContext,
  worker: WorkerLifecycle,
): ByteCallOptions => ({
  ...options,
  ...(run !== undefined && { childCalls: worker.childCallsOf(run) }),
  signal,
  onFailover(peer, error) {
    notify({ peer, failure: toTransferableError(error, UNEXPECTED) } satisfies FailoverNotice)
  },
  ...(reports === true && {
    onProgress(progress: Progress, peer: string) {
      notify({ peer, progress } satisfies ProgressNotice)
    },
  }),
})

/** What an agent gives with its call: the node says what is left of that before the call ends. */
const lentBy = ({ options: { carried } }: ThreadCallRequest): GivenShare | undefined =>
  carried && new GivenShare(sliceOf(carried, clock.now()), clock)

const ended = (share: GivenShare | undefined, { notify }: ChannelRequestContext): void => {
  if (share === undefined) return
  const isUnused = !share.mayBeUsed()
  notify({ remaining: share.end(true), isUnused } satisfies RemainderNotice)
}

const callOne = async (
  mesh: Mesh,
  request: ThreadCallRequest,
  payload: Uint8Array,
  context: ChannelRequestContext,
  worker: WorkerLifecycle,
) => {
  const share = lentBy(request)
  const options = { ...optionsOf(request, context, worker), share }
  try {
    return await internalsOf(mesh).calls.one(request.address, toCallable(request.target), payload, options)
  } catch (error) {
    share?.failed(isUnhandled(error))
    throw error
  } finally {
    ended(share, context)
  }
}

async function* callStream(
  mesh: Mesh,
  request: ThreadCallRequest,
  payload: Uint8Array,
  context: ChannelRequestContext,
  worker: WorkerLifecycle,
): AsyncGenerator<unknown, void, undefined> {
  const share = lentBy(request)
  const options = { ...optionsOf(request, context, worker), share }
  try {
    yield* internalsOf(mesh).calls.stream(request.address, toCallable(request.target), payload, options)
  } catch (error) {
    share?.failed(isUnhandled(error))
    throw error
  } finally {
    ended(share, context)
  }
}

async function* toPlain(replies: AsyncIterable<Reply<unknown>>): AsyncGenerator<TransferableReply, void, undefined> {
  for await (const reply of replies) {
    const { peer, name } = reply
    if ('value' in reply) yield { peer, name, value: exactBytes(toBytes(reply.value)) }
    else yield { peer, name, failure: toTransferableError(reply.error, UNEXPECTED) }
  }
}

const publish = async (mesh: Mesh, request: ThreadPublishRequest, signal: AbortSignal): Promise<unknown> => {
  const data: unknown = JSON.parse(request.data)
  const options = { ...request.options, signal }
  // The worker has checked the data; here the definition only names the family of topics and the version.
  return request.version === undefined
    ? mesh.events.publish(request.topic, data, options)
    : mesh.events.publish({ topic: request.topic, version: request.version, schema: Anything }, data, options)
}

export const createNodeRequestHandler =
  (mesh: Mesh, worker: WorkerLifecycle): ChannelRequestHandler =>
  (body, bytes, context) => {
    // Only our own worker writes to this port, and it is typed by the same union.
    const request = body as RequestToNode
    switch (request.what) {
      case 'one':
        return callOne(mesh, request, bytes ?? EMPTY, context, worker)
      case 'stream':
        if (request.options.carried !== undefined) return callStream(mesh, request, bytes ?? EMPTY, context, worker)
        return internalsOf(mesh).calls.stream(
          request.address,
          toCallable(request.target),
          bytes ?? EMPTY,
          optionsOf(request, context, worker),
        )
      case 'all':
        return toPlain(
          internalsOf(mesh).calls.all(
            request.address,
            toCallable(request.target),
            bytes ?? EMPTY,
            optionsOf(request, context, worker),
          ),
        )
      case 'publish':
        return publish(mesh, request, context.signal)
      case 'subscribe':
        return relayEvents({ events: mesh.events, clock: mesh.port.clock, log: mesh.port.log }, request, context.signal)
      case 'members':
        return Promise.resolve(mesh.members())
      case 'agents':
        return Promise.resolve(mesh.directory.agents())
      case 'log':
        return Promise.resolve(mesh.port.log[request.level](request.message, request.fields))
      case 'offered':
        return worker.offered(request.offers)
      case 'started':
        return Promise.resolve(worker.started())
      case 'failed':
        return Promise.resolve(worker.failed(request.failure))
      default:
        throw new ParleyError('MSG004', 'an agent asked for something that its node does not know', {
          hint: 'install the package again: its files do not belong together',
        })
    }
  }
