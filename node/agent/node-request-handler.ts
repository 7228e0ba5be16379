/**
 * What an agent in a worker thread asks of its node, carried out on the mesh: calls, events, views, log lines.
 *
 * Keeps no state. Payloads pass through as the bytes that they are: the contract's schemas are in the worker.
 */
import * as z from 'zod'
import type { Progress } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Mesh } from '../api.ts'
import type { ByteCallOptions, Reply } from '../calls/clients.ts'
import type { MethodCodec } from '../calls/method-codecs.ts'
import type { ChannelRequestContext, ChannelRequestHandler } from './channel/channel-responder.ts'
import type {
  FailoverNotice,
  OfferFacts,
  ProgressNotice,
  RequestToNode,
  TargetFacts,
  ThreadCallRequest,
  ThreadPublishRequest,
  TransferableReply,
} from './channel/thread-requests.ts'
import { exactBytes } from './channel/transferable-bytes.ts'
import { type TransferableError, toTransferableError } from './channel/transferable-error.ts'
import { relayEvents } from './event-relay.ts'

/** What the mesh must have to be an agent's node. */
export type AgentMesh = Pick<
  Mesh,
  'self' | 'activity' | 'calls' | 'events' | 'directory' | 'members' | 'serveCompiled' | 'port'
>

/** What the thread itself is told by its worker. */
export interface WorkerLifecycle {
  offered(offers: readonly OfferFacts[]): Promise<void>
  started(): void
  failed(failure: TransferableError): void
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
  { options: { reports, ...options } }: ThreadCallRequest,
  { signal, aside }: ChannelRequestContext,
): ByteCallOptions => ({
  ...options,
  signal,
  onFailover(peer, error) {
    aside({ peer, failure: toTransferableError(error, UNEXPECTED) } satisfies FailoverNotice)
  },
  ...(reports === true && {
    onProgress(progress: Progress, peer: string) {
      aside({ peer, progress } satisfies ProgressNotice)
    },
  }),
})

async function* toPlain(replies: AsyncIterable<Reply<unknown>>): AsyncGenerator<TransferableReply, void, undefined> {
  for await (const reply of replies) {
    const { peer, name } = reply
    if ('value' in reply) yield { peer, name, value: exactBytes(toBytes(reply.value)) }
    else yield { peer, name, failure: toTransferableError(reply.error, UNEXPECTED) }
  }
}

const publish = async (mesh: AgentMesh, ask: ThreadPublishRequest, signal: AbortSignal): Promise<unknown> => {
  const data: unknown = JSON.parse(ask.data)
  const options = { ...ask.options, signal }
  // The worker has checked the data; here the definition only tells the family of topics and the version.
  return ask.version === undefined
    ? mesh.events.publish(ask.topic, data, options)
    : mesh.events.publish({ topic: ask.topic, version: ask.version, schema: Anything }, data, options)
}

export const createNodeRequestHandler =
  (mesh: AgentMesh, life: WorkerLifecycle): ChannelRequestHandler =>
  (body, bytes, asked) => {
    // Only our own worker writes to this port, and it is typed by the same union.
    const ask = body as RequestToNode
    switch (ask.what) {
      case 'one':
        return mesh.calls.one(ask.address, toCallable(ask.target), bytes ?? EMPTY, optionsOf(ask, asked))
      case 'stream':
        return mesh.calls.stream(ask.address, toCallable(ask.target), bytes ?? EMPTY, optionsOf(ask, asked))
      case 'all':
        return toPlain(mesh.calls.all(ask.address, toCallable(ask.target), bytes ?? EMPTY, optionsOf(ask, asked)))
      case 'publish':
        return publish(mesh, ask, asked.signal)
      case 'subscribe':
        return relayEvents({ events: mesh.events, clock: mesh.port.clock, log: mesh.port.log }, ask, asked.signal)
      case 'members':
        return Promise.resolve(mesh.members())
      case 'agents':
        return Promise.resolve(mesh.directory.agents())
      case 'log':
        return Promise.resolve(mesh.port.log[ask.level](ask.message, ask.fields))
      case 'offered':
        return life.offered(ask.offers)
      case 'started':
        return Promise.resolve(life.started())
      case 'failed':
        return Promise.resolve(life.failed(ask.failure))
      default:
        throw new ParleyError('MSG004', 'an agent asked for something that its node does not know', {
          hint: 'install the package again: its files do not belong together',
        })
    }
  }
