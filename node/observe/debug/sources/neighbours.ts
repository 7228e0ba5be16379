/**
 * Who is connected to whom in the whole mesh, and to what each neighbour listens, as far as neighbours tell; for who looks at
 * the mesh, never for decisions.
 *
 * Nothing is asked until somebody looks. Then each neighbour is asked for its own neighbours, at most once each
 * ASK_AGAIN_MS and AT_ONCE at the same time. Where agents are known that are not neighbours (a mesh that is too large
 * for everyone to be connected to everyone), neighbours pass on what they heard of theirs, and ask them again in their
 * turn: two hops, which is a few hundred nodes. Of the others the connections are not known, and said to be so.
 * State: up to MAX_LISTS lists of up to MAX_PEERS peers, forgotten KEPT_MS after they were told.
 * Wire id: `/parley/neighbours/1`.
 */
import * as z from 'zod'
import { PeerIdSchema } from '../../../../discovery/directory/record/agent-record.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { MAX_TOPIC_LENGTH } from '../../../../protocols/events/topic.ts'
import type { Port } from '../../../../protocols/port.ts'

export const MAX_LISTS = 1_024
export const MAX_PEERS = 512
/** Lists that one answer passes on. */
export const MAX_PASSED_ON = 64
export const ASK_AGAIN_MS = 5_000
export const KEPT_MS = 60_000
export const AT_ONCE = 8
/** Patterns that one answer names; who listens to more does not say to what. */
export const MAX_PATTERNS = 128

const Neighbour = z.object({ id: PeerIdSchema, rttMs: z.number().nonnegative().optional() })
export type Neighbour = z.output<typeof Neighbour>
const List = z.array(Neighbour).max(MAX_PEERS)

const TopicListening = z.object({ pattern: z.string().min(1).max(MAX_TOPIC_LENGTH), count: z.int().min(1) })
export type TopicListening = z.output<typeof TopicListening>

export const neighboursProtocol = defineProtocol({
  name: 'neighbours',
  version: '1.1.0',
  methods: {
    list: {
      /** `passOn`: also what was heard of the neighbours' neighbours. */
      request: z.object({ passOn: z.boolean().optional() }),
      response: z.object({
        peers: List,
        passedOn: z
          .array(z.object({ peer: PeerIdSchema, ageMs: z.number().nonnegative(), peers: List }))
          .max(MAX_PASSED_ON)
          .optional(),
        /** Topics and patterns that the answering node listens to, with how many subscriptions; left out by 1.0. */
        listens: z.array(TopicListening).max(MAX_PATTERNS).optional(),
      }),
      timeoutMs: 2_000,
      idempotent: true,
      description:
        'Who is connected to this node, how long a round trip takes, and what it listens to; for debug pages',
    },
  },
})

export interface NeighbourReport {
  readonly peers: readonly Neighbour[]
  /** Milliseconds since it was so. */
  readonly ageMs: number
  /** What it listens to, as it told itself; undefined where it did not tell. */
  readonly listens?: readonly TopicListening[] | undefined
}

export interface Neighbours {
  /** This node's own. */
  own(): Neighbour[]
  /** What others told, by peer; asks them again in the background where that is a while ago. */
  reports(): ReadonlyMap<string, NeighbourReport>
  stop(): Promise<void>
}

export interface NeighboursDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'members' | 'serve' | 'to'>
  rttMs(peer: string): number | undefined
  /** Agents that are known, this node among them. */
  agents(): number
  /** Open subscriptions of this node by pattern. */
  listening(): ReadonlyMap<string, number>
}

/** All or nothing: half of it would make the rest look as if nobody listened. */
const listensOf = (patterns: ReadonlyMap<string, number>): TopicListening[] | undefined =>
  patterns.size > MAX_PATTERNS ? undefined : [...patterns].map(([pattern, count]) => ({ pattern, count }))

export const createNeighbours = async ({ port, rttMs, agents, listening }: NeighboursDeps): Promise<Neighbours> => {
  const lists = new Map<string, Pick<NeighbourReport, 'peers' | 'listens'> & { readonly atMs: number }>()
  const askedAt = new Map<string, number>()
  const waiting: string[] = []
  let asking = 0
  let stopped = false
  const now = (): number => port.clock.monotonic()

  const own = (): Neighbour[] =>
    port
      .members()
      .slice(0, MAX_PEERS)
      .map(({ id }) => {
        const ms = rttMs(id)
        return { id, ...(ms !== undefined && { rttMs: ms }) }
      })

  const forget = (): void => {
    const oldest = now() - KEPT_MS
    for (const [peer, { atMs }] of lists) if (atMs < oldest) lists.delete(peer)
    for (const [peer, atMs] of askedAt) if (atMs < oldest) askedAt.delete(peer)
  }

  /** @param listens undefined where somebody else tells, or it does not say */
  const keep = (peer: string, peers: readonly Neighbour[], atMs: number, listens?: readonly TopicListening[]): void => {
    const known = lists.get(peer)
    if (peer === port.self.id || atMs < now() - KEPT_MS || (known !== undefined && known.atMs >= atMs)) return
    if (known === undefined && lists.size >= MAX_LISTS) return
    lists.set(peer, { peers, atMs, listens: listens ?? known?.listens })
  }

  const ask = async (peer: string): Promise<void> => {
    const members = port.members()
    // Asking one that is connected no more would dial it.
    if (!members.some(({ id }) => id === peer)) return
    const passOn = agents() > members.length + 1
    try {
      const told = await port.to(peer, neighboursProtocol).list({ ...(passOn && { passOn }) })
      if (stopped) return
      keep(peer, told.peers, now(), told.listens)
      for (const one of told.passedOn ?? []) keep(one.peer, one.peers, now() - one.ageMs)
    } catch {
      // It is gone, or of a version that does not tell: what it told before ages, and is shown with its age.
    }
  }

  const next = (): void => {
    while (asking < AT_ONCE && !stopped) {
      const peer = waiting.shift()
      if (peer === undefined) return
      asking += 1
      void ask(peer).finally(() => {
        asking -= 1
        next()
      })
    }
  }

  const refresh = (): void => {
    forget()
    for (const { id } of port.members().slice(0, MAX_LISTS)) {
      if (waiting.length >= MAX_LISTS || (askedAt.get(id) ?? Number.NEGATIVE_INFINITY) > now() - ASK_AGAIN_MS) continue
      askedAt.set(id, now())
      waiting.push(id)
    }
    next()
  }

  const passOnTo = (peer: string) => {
    refresh()
    return port
      .members()
      .flatMap(({ id }) => {
        const list = id === peer ? undefined : lists.get(id)
        return list === undefined ? [] : [{ peer: id, ageMs: now() - list.atMs, peers: [...list.peers] }]
      })
      .slice(0, MAX_PASSED_ON)
  }

  const unserve = await port.serve(neighboursProtocol, {
    list: ({ passOn }, { peer }) => ({
      peers: own(),
      listens: listensOf(listening()),
      ...(passOn === true && { passedOn: passOnTo(peer) }),
    }),
  })

  return {
    own,
    reports() {
      refresh()
      return new Map([...lists].map(([peer, { atMs, ...told }]) => [peer, { ...told, ageMs: now() - atMs }]))
    },
    async stop() {
      stopped = true
      waiting.length = 0
      await unserve()
    },
  }
}
