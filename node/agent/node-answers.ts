/**
 * What an agent in a worker thread asks of its node, carried out on the mesh: calls, events, views, log lines.
 *
 * Keeps no state. Payloads pass through as the bytes that they are: the contract's schemas are in the worker.
 */
import * as z from 'zod'
import type { Progress } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Mesh } from '../api.ts'
import type { Callable } from '../callable.ts'
import type { Reply, SendOptions } from '../clients.ts'
import type { AnswerBody, Asked } from './answering.ts'
import type {
  CallAsk,
  FailoverAside,
  NodeAsk,
  OfferFacts,
  PlainReply,
  ProgressAside,
  PublishAsk,
  TargetFacts,
} from './asks.ts'
import { exact } from './bytes.ts'
import { relayEvents } from './event-relay.ts'
import { type Failure, toFailure } from './failure.ts'

/** What the mesh must have to be an agent's node. */
export type AgentMesh = Pick<
  Mesh,
  'self' | 'activity' | 'calls' | 'events' | 'directory' | 'members' | 'serveCompiled' | 'port'
>

/** What the thread itself is told by its worker. */
export interface LifeAnswers {
  offered(offers: readonly OfferFacts[]): Promise<void>
  started(): void
  failed(failure: Failure): void
}

const UNEXPECTED = 'the node could not carry the call out'
const EMPTY = new Uint8Array(0)
const Anything = z.unknown()

const toBytes = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : EMPTY)

const toCallable = ({ protocol, version, major, protocolId, ...facts }: TargetFacts): Callable => ({
  protocol,
  version,
  major,
  protocolId,
  codec: { ...facts, encode: toBytes, decode: (bytes) => bytes },
})

const optionsOf = ({ options: { reports, ...options } }: CallAsk, { signal, aside }: Asked): SendOptions => ({
  ...options,
  signal,
  onFailover(peer, error) {
    aside({ peer, failure: toFailure(error, UNEXPECTED) } satisfies FailoverAside)
  },
  ...(reports === true && {
    onProgress(progress: Progress, peer: string) {
      aside({ peer, progress } satisfies ProgressAside)
    },
  }),
})

async function* toPlain(replies: AsyncIterable<Reply<unknown>>): AsyncGenerator<PlainReply, void, undefined> {
  for await (const reply of replies) {
    const { peer, name } = reply
    if ('value' in reply) yield { peer, name, value: exact(toBytes(reply.value)) }
    else yield { peer, name, failure: toFailure(reply.error, UNEXPECTED) }
  }
}

const publish = async (mesh: AgentMesh, ask: PublishAsk, signal: AbortSignal): Promise<unknown> => {
  const data: unknown = JSON.parse(ask.data)
  const options = { ...ask.options, signal }
  // The worker has checked the data; here the definition only tells the family of topics and the version.
  return ask.version === undefined
    ? mesh.events.publish(ask.topic, data, options)
    : mesh.events.publish({ topic: ask.topic, version: ask.version, schema: Anything }, data, options)
}

export const createNodeAnswers =
  (mesh: AgentMesh, life: LifeAnswers): AnswerBody =>
  (body, bytes, asked) => {
    // Only our own worker writes to this port, and it is typed by the same union.
    const ask = body as NodeAsk
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
