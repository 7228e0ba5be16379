/**
 * Durable messages of one node: delivery over the Port, its rows on disk, who offers what over the directory.
 *
 * State: the delivery's; who offers a capability, for a second at most; when peers left the directory.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Directory } from '../../discovery/directory/directory.ts'
import { resolveTarget } from '../../discovery/directory/find-agent.ts'
import type { ProtocolRecord } from '../../discovery/directory/record/agent-record.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { fraction, pick } from '../../discovery/two-choices.ts'
import type { MessagesFeature } from '../../protocols/delivery/api.ts'
import { createDelivery } from '../../protocols/delivery/delivery.ts'
import type { ResolvedDeliveryOptions } from '../../protocols/delivery/options.ts'
import { MESSAGE_OFFER_PREFIX } from '../../protocols/delivery/receive/received-types.ts'
import type { TopicAnswer } from '../../protocols/delivery/send/topic-answers.ts'
import type { RowStore } from '../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../protocols/delivery/store/volatile-row-store.ts'
import type { Events } from '../../protocols/events/api.ts'
import type { MessageChains } from '../../protocols/interceptors/chains.ts'
import type { Quota } from '../../protocols/limits/quota.ts'
import type { Port } from '../../protocols/port.ts'
import type { KnownStores } from '../store/known-stores.ts'
import { MESSAGES_FOLDER } from '../store/known-stores.ts'
import { openRowStore } from '../store/messages/row-store.ts'

const CHOICE_MS = 1_000
const MAX_CHOICES = 256
/** Peers whose end is remembered; of others it counts since this node started. */
const MAX_ENDS = 4_096

export interface DurableMessagesDeps {
  readonly port: Port
  /** As `openMessages` opens them. */
  readonly rows: Promise<RowStore>
  readonly quota: Quota
  readonly dataDir: string | undefined
  readonly settings: ResolvedDeliveryOptions
  readonly directory: Pick<Directory, 'agents' | 'get' | 'onChange'>
  readonly events: Pick<Events, 'publish'>
  /** Interceptors of messages. */
  readonly chains: MessageChains
  loadOf(peer: string): number
  /** Tells others of it, without serving anything. */
  advertise(id: string, record: ProtocolRecord): Promise<() => Promise<void>>
}

export interface DurableMessages extends MessagesFeature {
  /** Why this node cannot keep messages, for its readiness. */
  problem(): string | undefined
}

/** On a full disk they are opened once there is room. @throws STA003 for rows that are damaged or of a newer version, or that the disk does not give */
export const openMessageRows = async (
  dataDir: string | undefined,
  port: Pick<Port, 'random' | 'log' | 'timers'>,
  known?: KnownStores,
): Promise<RowStore> => {
  if (dataDir === undefined) return createVolatileRowStore(randomBytes(16).toString('hex'))
  const store = await openRowStore(join(dataDir, MESSAGES_FOLDER), port)
  const note = (): Promise<void> | undefined => known?.note('messages', { id: store.id })
  if (store.state() === 'open') await note()
  else {
    const stop = store.onState((state) => {
      if (state !== 'open') return
      stop()
      void note()
    })
  }
  return store
}

/** @throws what opening the rows threw; MSG003 for one that cannot be read */
export const startDurableMessages = async (deps: DurableMessagesDeps): Promise<DurableMessages> => {
  const { port, dataDir, directory } = deps
  const store = await deps.rows
  const known = new Map<string, { readonly at: number; readonly candidates: readonly Candidate[] }>()
  const startedAt = port.clock.monotonic()
  /** When who left the directory, monotonic; below 0 where it does not come back. */
  const ends = new Map<string, number>()
  const changes = directory.onChange((change) => {
    known.clear()
    const { peer } = change.agent
    ends.delete(peer)
    if (change.type !== 'left') return
    ends.set(peer, change.departure === 'leave' ? Number.NEGATIVE_INFINITY : port.clock.monotonic())
    const [oldest] = ends.keys()
    if (ends.size > MAX_ENDS && oldest !== undefined) ends.delete(oldest)
  })
  const publish = async ({ topic, correlationId, conversationId, requester, value }: TopicAnswer): Promise<void> => {
    const about = { correlationId, ...(conversationId !== undefined && { conversationId }) }
    await deps.events.publish(topic, { ...about, requester, value }, about)
  }
  const chance = (): number => fraction(port.random(4))

  const candidatesOf = (capability: string): readonly Candidate[] => {
    const now = port.clock.monotonic()
    const before = known.get(capability)
    if (before !== undefined && now - before.at < CHOICE_MS) return before.candidates
    const names = [MESSAGE_OFFER_PREFIX + capability, capability]
    const candidates = directory.agents().flatMap(({ peer, name, state, activity, record }): Candidate[] => {
      const offer = record.protocols.find((protocol) => names.includes(protocol.name))
      if (offer === undefined) return []
      return [{ peer, name, state, isStuck: activity?.state === 'stuck', version: offer.version, methods: [] }]
    })
    if (known.size >= MAX_CHOICES) known.clear()
    known.set(capability, { at: now, candidates })
    return candidates
  }

  const absentMs = (peer: string, capability?: string): number => {
    if (directory.get(peer) === undefined) return port.clock.monotonic() - (ends.get(peer) ?? startedAt)
    const offers = capability === undefined || candidatesOf(capability).some((one) => one.peer === peer)
    return offers ? 0 : Number.POSITIVE_INFINITY
  }

  const messages = await createDelivery(
    {
      port,
      store,
      quota: deps.quota,
      chains: deps.chains,
      isVolatile: dataDir === undefined,
      choose(capability, except) {
        const all = candidatesOf(capability)
        const some = except === undefined ? all : all.filter(({ peer, state }) => state === 'alive' && !except(peer))
        return pick(some, deps.loadOf, chance)?.peer
      },
      absentMs,
      publish,
      peerOf: (given, where = 'messages.send()') => resolveTarget(directory.agents, given, where),
      announce: (type, version, description) =>
        deps.advertise(MESSAGE_OFFER_PREFIX + type, {
          name: MESSAGE_OFFER_PREFIX + type,
          version,
          ...(description !== undefined && { description }),
          methods: [],
        }),
      chance,
    },
    deps.settings,
  )
  port.metrics.gauge('delivery_store_bytes', 'Bytes of the messages on disk', () => store.bytes())

  return {
    ...messages,
    problem() {
      const state = store.state()
      if (state === 'open') return undefined
      return state === 'full'
        ? 'the disk has no room for messages; nothing is kept until there is'
        : 'the disk takes no messages; see the log'
    },
    async stop() {
      await changes.stop()
      await messages.stop()
      await store.close()
    },
  }
}
