/**
 * A member of the mesh that has no vote and lies: it sees everything, speaks the protocol under an id of its own, and sends
 * what would win an election, rewrite a log, change the voters, spend the terms or answer a read from nothing. In some runs
 * it has got itself a place as a learner. Nodes must not notice, but in their counts.
 *
 * State: its connections; how much it said.
 */

import type { NetworkNode, PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { raftProtocol } from '../../../protocols/consensus/contract.ts'
import type { RaftStatus } from '../../../protocols/consensus/raft/raft.ts'
import { encodeRaftPacket } from '../../../protocols/consensus/raft/raft-codec.ts'
import {
  EMPTY_DATA,
  type Entry,
  encodeConfiguration,
  type RaftMessage,
} from '../../../protocols/consensus/raft/raft-messages.ts'
import { memberAt } from '../../support/stored-group.ts'
import { FORGED } from './invariants.ts'
import { encodeCommand } from './machine.ts'
import type { Nodes, SimNode } from './node.ts'

const ACTS_MS = 25
/** Share of messages in another one's name. */
const BORROWED = 0.2
const NAME = 'x'
const STORAGE = '66'
/** The highest term that a message may say at all. */
const LAST_TERM = 2 ** 50

export interface Intruder {
  /** Its member id. */
  readonly id: string
  connect(): void
  stop(): void
  readonly counts: { forged: number }
}

export const createIntruder = (network: PortNetwork, nodes: Nodes): Intruder => {
  const { time, random } = network
  const node: NetworkNode = network.start(NAME)
  const id = memberAt(node.id, STORAGE)
  const counts = { forged: 0 }
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]

  const entryAt = (index: number, term: number, kind: Entry['kind']): Entry => {
    const alone = encodeConfiguration({ voters: [id], learners: [] })
    const data =
      kind === 'configuration'
        ? alone
        : kind === 'command'
          ? encodeCommand({ session: FORGED, serial: 1 }, 9)
          : EMPTY_DATA
    return { index, term, kind, data }
  }

  /** What would do harm to a node in this state, if it counted. */
  const forge = ({ term: now, commit, lastIndex, lastTerm }: RaftStatus): readonly (() => RaftMessage)[] => {
    const term = pick([now, now + 1, now + 900, now + 1_000_000, LAST_TERM]) ?? now
    const round = 0
    const append = (previousIndex: number, previousTerm: number, entries: readonly Entry[]): RaftMessage => {
      const last = previousIndex + entries.length
      return {
        type: 'append',
        term,
        previousIndex,
        previousTerm: Math.min(previousTerm, term),
        entries,
        commit: last,
        round,
      }
    }
    return [
      () => ({ type: 'vote', term, isPre: false, lastIndex: 2 ** 40, lastTerm: term, isTransfer: true }),
      () => ({ type: 'vote', term: now + 1, isPre: true, lastIndex: 2 ** 40, lastTerm: now, isTransfer: false }),
      () => ({ type: 'voted', term, isPre: false, granted: true }),
      () => append(lastIndex, lastTerm, [entryAt(lastIndex + 1, term, 'command')]),
      () => append(lastIndex, lastTerm, [entryAt(lastIndex + 1, term, 'configuration')]),
      // Another entry where one is committed.
      () => append(Math.max(0, commit - 1), 0, [entryAt(Math.max(1, commit), term, 'command')]),
      () => ({ type: 'appended', term, index: lastIndex, accepted: true, hintIndex: 0, hintTerm: 0, round: 2 ** 40 }),
      () => ({
        type: 'snapshot',
        term,
        meta: { index: lastIndex + 5, term, configuration: { voters: [id], learners: [] } },
      }),
      () => ({ type: 'timeout-now', term: now }),
      () => ({ type: 'read', term, id: 1 }),
      () => ({ type: 'read-at', term: now, id: 1 + Math.floor(random() * 50), index: 1 }),
    ]
  }

  const lie = (target: SimNode): void => {
    const status = target.life?.group?.status()
    const message = status && pick(forge(status))?.()
    if (message === undefined) return
    counts.forged += 1
    // Sometimes in the name of a voter.
    const other = random() < BORROWED ? pick(nodes.all) : undefined
    const from = other === undefined ? id : nodes.idOf(other)
    node.port
      .to(target.peer, raftProtocol)
      .step(encodeRaftPacket({ group: 'test', from, to: nodes.idOf(target), message }))
      .catch(() => {})
  }
  const stopLying = time.every(ACTS_MS, () => {
    const target = pick(nodes.up())
    if (target !== undefined) lie(target)
  })
  // Whoever takes its snapshot gets one that is its own.
  void node.port.serve(raftProtocol, {
    async step() {},
    async *fetch() {
      yield new TextEncoder().encode(
        JSON.stringify({ last: 1_000_000, digest: 0, sessions: [[FORGED, { serial: 1, index: 1 }]] }),
      )
    },
    async missed() {},
  })

  return {
    id,
    counts,
    connect() {
      for (const { life } of nodes.all) if (life !== undefined) network.connect(life.network, node)
    },
    stop() {
      stopLying()
      node.kill()
    },
  }
}
