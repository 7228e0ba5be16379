/**
 * A member without a seat that wants to be taken for the coordinator: forged events, false answers, forged messages between
 * voters. State: the number of its next event, and its links to the voters.
 */
import type { Connection } from '@libp2p/interface'
import type { Attacker } from './attacker.ts'
import { CONTENT, KIND } from './frames.ts'
import type { Link } from './link.ts'
import { configurationText, FLAG, type Forged, type ForgedEntry, putText, stepBytes } from './raft.ts'
import { batchBytes, gossipTopic } from './signed.ts'

/** Above any term of the honest, and the highest that a number can count on from. */
export const FAR_TERM = 1_000_000
export const HIGHEST = 2 ** 53 - 2
const WORD = 'coordination'
const STORAGE = 'abcdef'
const RAFT = '/parley/raft/1'

/** What an attacker sees of the group: any member is told. */
export interface Known {
  readonly mesh: string
  readonly meshId: string
  readonly epoch: number
  /** Index of the last decision. */
  readonly version: number
  /** Member ids. */
  readonly voters: readonly string[]
  readonly forged: string
}

export interface Pretender {
  readonly memberId: string
  /** Tells everybody that it coordinates. */
  announce(known: Known, epoch: number, more?: Record<string, unknown>): Promise<void>
  /** Tells everybody something in the coordinator's name. */
  notify(known: Known, epoch: number): Promise<void>
  /** Answers who asks where the coordinator is, and whoever believes it: with forged records. */
  lie(known: () => Known, epoch: number): Promise<void>
  /** One message to each voter that it has a connection with. */
  step(known: Known, message: Omit<Forged, 'group' | 'from' | 'to'> & { from?: string }): Promise<void>
}

const peerOf = (memberId: string): string => memberId.split('.')[0] ?? ''

export const createPretender = (attacker: Attacker, connections: () => readonly Connection[]): Pretender => {
  const links = new Map<Connection, Promise<Link>>()
  const life = Date.now()
  let sequence = 0

  const publish = async (mesh: string, topic: string, data: unknown): Promise<void> => {
    sequence += 1
    const events = [{ topic, data, version: '1.0.0' }]
    const batch = await batchBytes(attacker.signer, { mesh, word: WORD, epoch: life, first: sequence, events })
    await attacker.libp2p.services.gossip.publish(gossipTopic(mesh, WORD), batch).catch(() => {})
  }

  const linkOf = (connection: Connection): Promise<Link> => {
    const known = links.get(connection)
    if (known !== undefined) return known
    const link = attacker.link(connection, RAFT)
    links.set(connection, link)
    link.then(
      ({ stream }) => stream.addEventListener('close', () => links.delete(connection)),
      () => links.delete(connection),
    )
    return link
  }

  const memberId = `${attacker.id}.${STORAGE}`
  return {
    memberId,
    announce: ({ mesh, meshId, version }, epoch, more = {}) =>
      publish(mesh, 'coordination.epoch', {
        mesh_id: meshId,
        epoch,
        leader: attacker.id,
        version: version + 1,
        seats: [attacker.id],
        timestamp: Date.now(),
        ...more,
      }),
    notify: ({ mesh, meshId, version }, epoch) =>
      publish(mesh, 'coordination.notification', {
        notification_id: `forged-${sequence}`,
        mesh_id: meshId,
        name: 'forged',
        leader: attacker.id,
        fence: { term: epoch, index: version + 1 },
        timestamp: Date.now(),
      }),
    async lie(known, epoch) {
      await attacker.serve('/parley/coordinator/1', () => {
        const { meshId, version } = known()
        return { meshId, epoch, leader: attacker.id, version: version + 1, seats: [attacker.id], enough: true }
      })
      await attacker.serve('/parley/journal/1', (method, input) => {
        const { version, forged } = known()
        const [index, term] = [version + 1, epoch]
        if (method === 'submit') return { ok: true, version: index, term, result: null }
        const key = String(Reflect.get(Object(input), 'key') ?? forged)
        if (method !== 'read') return undefined
        return { version: index, records: [{ key, version: index, term, value: forged }], more: false }
      })
      await attacker.serve(RAFT, () => undefined)
    },
    async step({ meshId, voters }, message) {
      const open = connections().filter(({ status }) => status === 'open')
      await Promise.allSettled(
        open.map(async (connection) => {
          const peer = connection.remotePeer.toString()
          const to = voters.find((id) => peerOf(id) === peer)
          if (to === undefined) return
          const payload = stepBytes({ from: memberId, ...message, group: meshId, to })
          const link = await linkOf(connection)
          link.tell({ kind: KIND.oneWay, method: 'step', payload, content: CONTENT.bytes, timeoutMs: 5_000 })
        }),
      )
    },
  }
}

export interface RaftForgery {
  readonly name: string
  /** How often it is sent, 100 ms apart. */
  readonly times: number
  messages(known: Known, self: string): readonly (Omit<Forged, 'group' | 'from' | 'to'> & { from?: string })[]
}

/** A record, and a configuration in which only the attacker votes, after what is decided. */
const takeover = ({ version, epoch, forged }: Known, self: string, term: number): ForgedEntry[] => [
  { index: version + 1, term, kind: 'command', data: putText(forged, forged, peerOf(self)) },
  { index: version + 2, term, kind: 'configuration', data: configurationText(self) },
  { index: version + 3, term: Math.max(term, epoch), kind: 'empty' },
]

/** Entries that were decided already, once more and otherwise. */
const otherPast = (term: number): ForgedEntry[] =>
  Array.from({ length: 8 }, (_, i) => ({ index: i + 1, term, kind: 'command', data: putText('forged', 'forged', 'x') }))

export const FORGERIES: readonly RaftForgery[] = [
  {
    name: 'a record and a configuration',
    times: 5,
    messages(known, self) {
      const { version, epoch } = known
      return [epoch, epoch + 1, FAR_TERM].map((term) => ({
        type: 'append',
        term,
        index: version,
        indexTerm: epoch,
        commit: version + 3,
        entries: takeover(known, self, term),
      }))
    },
  },
  {
    name: 'a second leader of the term',
    times: 3,
    messages: ({ epoch, version }) => [
      { type: 'append', term: epoch, index: version, indexTerm: epoch, commit: version },
    ],
  },
  {
    name: 'another past',
    times: 3,
    messages: ({ epoch }) =>
      [epoch, epoch + 1].flatMap((term) => [
        { type: 'append', term, index: 0, indexTerm: 0, commit: 8, entries: otherPast(term) } as const,
      ]),
  },
  {
    name: 'a snapshot',
    times: 3,
    messages: ({ epoch, version }, self) =>
      [epoch, epoch + 1].map((term) => ({
        type: 'snapshot',
        term,
        index: version + 10_000,
        indexTerm: epoch,
        configuration: configurationText(self),
      })),
  },
  {
    name: 'elections without end',
    times: 30,
    messages: ({ epoch, version }) => [
      { type: 'timeout-now', term: epoch },
      { type: 'vote', term: epoch + 1, index: version + 10_000, indexTerm: epoch + 1, flags: FLAG.transfer },
      { type: 'vote', term: epoch + 1, index: version + 10_000, indexTerm: epoch + 1, flags: FLAG.pre },
    ],
  },
  {
    name: 'answers of nobody',
    times: 5,
    messages: ({ epoch }) => [
      { type: 'voted', term: epoch, flags: FLAG.granted },
      { type: 'voted', term: epoch + 1, flags: FLAG.granted },
      { type: 'appended', term: epoch, index: HIGHEST, flags: FLAG.granted },
      { type: 'appended', term: FAR_TERM, index: 1 },
      { type: 'read-at', term: epoch, index: HIGHEST },
      { type: 'read', term: epoch + 1 },
    ],
  },
  {
    name: 'in the name of a voter',
    times: 3,
    messages: ({ epoch, version, voters }) =>
      voters.map((from) => ({ type: 'append', term: epoch + 1, index: version, indexTerm: epoch, from })),
  },
  {
    name: 'numbers without a range',
    times: 2,
    messages: ({ version }, self) => [
      { type: 'append', term: 1, index: HIGHEST, indexTerm: HIGHEST, commit: HIGHEST },
      { type: 'append', term: 0, index: 0, commit: HIGHEST },
      { type: 'snapshot', term: 1, index: HIGHEST, indexTerm: HIGHEST, configuration: configurationText(self) },
      { type: 'append', term: 1, index: version, from: `${peerOf(self)}.zz` },
      { type: 'append', term: 1, index: version, from: 'no member id' },
    ],
  },
  {
    name: 'the highest term',
    times: 2,
    messages: ({ version, epoch }) =>
      [2 ** 50, HIGHEST].flatMap((term) => [
        { type: 'append', term, index: version, indexTerm: epoch } as const,
        { type: 'vote', term, index: term, indexTerm: term, flags: FLAG.transfer } as const,
        { type: 'voted', term } as const,
        { type: 'timeout-now', term } as const,
      ]),
  },
]
