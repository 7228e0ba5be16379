/**
 * Members that found a mesh by the pure steps, with everything against them: messages lost, doubled, late and out of
 * order, crashes before and after what they save, saves of which nobody knows whether they happened, lost disks, and
 * proposals by anybody of anything. Whether the mesh stays one is looked at after each step.
 *
 * State: what each member has saved and what it has in memory, messages on their way, all that was ever saved.
 */

import { createRandom } from '../../../../node/testing/virtual/virtual-time.ts'
import type { ProposalAnswer } from '../../../../protocols/consensus/bootstrap/contract.ts'
import {
  type FoundingRecord,
  type Proposal,
  sameProposal,
} from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import {
  adoptMeshId,
  type FoundingState,
  type FoundingStep,
  meshIdIn,
  onAnswer,
  onProposal,
  propose,
  resume,
} from '../../../../protocols/consensus/bootstrap/founding-steps.ts'

const MAX_MESSAGES = 60

/** Deliberate mistakes, to see that the checks see them. */
export type Mistake = 'refusal not saved' | 'promise not saved' | 'crash frees' | 'stranger speaks'

export interface WorldOptions {
  readonly seed: number
  readonly members: number
  readonly expect: number
  /** Members lose their log store, or all that they had. */
  readonly losesDisks?: boolean
  readonly mistake?: Mistake
}

type Message = { readonly to: number; readonly from: number } & (
  | { readonly type: 'propose'; readonly proposal: Proposal }
  | { readonly type: 'answer'; readonly proposal: Proposal; readonly answer: ProposalAnswer }
  | { readonly type: 'mesh'; readonly meshId: string }
)

interface Member {
  id: string
  disks: number
  saved: FoundingRecord | undefined
  state: FoundingState
}

const meshIdOf = (set: readonly string[]): string => set.join('+')
const keyOf = ({ round, set }: Proposal): string => `${round.counter} ${round.proposer} ${set.join('+')}`

export const createFoundingWorld = ({ seed, members: count, expect, losesDisks = false, mistake }: WorldOptions) => {
  const random = createRandom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  /** Each world has its own weather: how often anybody proposes, nodes restart, messages come twice, disks go. */
  const mood = {
    propose: 0.05 + 0.2 * random(),
    restart: 0.3 * random() ** 2,
    again: 0.8 * random(),
    lose: 0.02 * random(),
  }
  const idOf = (n: number, disks: number): string => `peer${n}.${String(disks).padStart(2, '0')}`
  /** Some nodes are started without `expect` at times. */
  const termsOf = (member: string, isJoiner = false) => ({ member, expect: isJoiner ? undefined : expect, meshIdOf })
  const members: Member[] = Array.from({ length: count }, (_, n) => {
    const id = idOf(n, 0)
    return { id, disks: 0, saved: undefined, state: resume(termsOf(id), undefined) }
  })
  let messages: Message[] = []
  /** By proposal: who ever had its promise on the disk. */
  const everPromised = new Map<string, { proposal: Proposal; by: Set<string> }>()
  /** Founded sets, by mesh id. */
  const founded = new Map<string, readonly string[]>()
  const counts = { founded: 0, crashes: 0, refused: 0, released: 0, unsure: 0, lostDisks: 0, adopted: 0, deferred: 0 }

  const at = (n: number): Member => {
    const member = members[n]
    if (member === undefined) throw new Error(`no member ${n}`)
    return member
  }
  /** A round whose save failed may be used again; what was said of it may not. */
  const spoken = new Map<string, Proposal>()
  const send = (message: Message): void => {
    if (message.type === 'propose') {
      const { round } = message.proposal
      const other = spoken.get(`${round.counter} ${round.proposer}`) ?? message.proposal
      if (!sameProposal(other, message.proposal)) fail(`the round ${round.counter} ${round.proposer} has two sets`)
      spoken.set(`${round.counter} ${round.proposer}`, message.proposal)
    }
    if (messages.length < MAX_MESSAGES) messages.push(message)
    else messages[below(MAX_MESSAGES)] = message
  }

  const save = (member: Member, record: FoundingRecord): void => {
    const before = member.saved
    const isPromise = record.promise !== undefined && before?.promise === undefined
    const isRefusal = record.promise === before?.promise && meshIdIn(record) === undefined
    if (mistake === 'refusal not saved' && isRefusal) return
    if (mistake === 'promise not saved' && isPromise && random() < 0.5) return
    member.saved = record
    if (record.promise === undefined) return
    const known = everPromised.get(keyOf(record.promise)) ?? { proposal: record.promise, by: new Set() }
    everPromised.set(keyOf(record.promise), known)
    known.by.add(record.member)
  }

  const restart = (member: Member, isJoiner = random() < 0.3): void => {
    if (mistake === 'crash frees' && member.saved?.promise !== undefined) {
      const { promise: _, ...rest } = member.saved
      member.saved = rest
    }
    const state = resume(termsOf(member.id, isJoiner), member.saved)
    if (member.saved !== undefined && state.record !== member.saved) save(member, state.record)
    member.state = state
    counts.crashes += 1
  }

  /** As the driver does it, but for what may go wrong. @returns what may be said; undefined: it came to nothing */
  const enter = <T>(member: Member, { state, result }: FoundingStep<T>, calm: boolean): T | undefined => {
    const luck = calm ? 1 : random()
    const before = member.state.record
    if (state.record !== before) {
      if (luck < 0.03) return void restart(member)
      if (luck < 0.06) {
        // The disk failed, and nobody knows what it has.
        if (random() < 0.5) save(member, state.record)
        counts.unsure += 1
        return undefined
      }
      save(member, state.record)
      if (luck < 0.1) return void restart(member)
    }
    member.state = state
    const { record } = state
    if (before.promise !== undefined && record.promise === undefined && record.founded === undefined) {
      counts.released += 1
    }
    if (before.adopted === undefined && record.adopted !== undefined) counts.adopted += 1
    return result
  }

  const ask = (n: number): void => {
    const { promise } = at(n).state.record
    if (promise === undefined) return
    for (const [to, { id }] of members.entries()) {
      // A peer that lost its disk is asked too: it is the same peer.
      const peer = id.slice(0, id.indexOf('.'))
      if (to !== n && promise.set.some((one) => one.startsWith(`${peer}.`))) {
        send({ type: 'propose', from: n, to, proposal: promise })
      }
    }
  }

  const deliver = (message: Message, calm: boolean): void => {
    const member = at(message.to)
    if (message.type === 'propose') {
      const { proposal } = message
      const answer = enter(member, onProposal(member.state, proposal), calm)
      if (answer === undefined) return
      if (answer.verdict === 'refused') counts.refused += 1
      send({ type: 'answer', from: message.to, to: message.from, proposal, answer })
    } else if (message.type === 'answer') {
      const { proposal, answer } = message
      const place = proposal.set.find((one) => one.startsWith(`peer${message.from}.`)) ?? ''
      const heard = mistake === 'stranger speaks' ? { ...answer, member: place } : answer
      enter(member, onAnswer(member.state, proposal, heard), calm)
    } else if (enter(member, adoptMeshId(member.state, message.meshId), calm) === 'deferred') {
      counts.deferred += 1
    }
  }

  const tell = (from: number, to: number): void => {
    const meshId = meshIdIn(at(from).state.record)
    if (meshId !== undefined) send({ type: 'mesh', from, to, meshId })
  }

  const proposeAnything = (n: number): void => {
    const member = at(n)
    const others = members
      .map(({ id }) => id)
      .filter((id) => id !== member.id)
      .map((id) => ({ id, order: random() }))
      .toSorted((a, b) => a.order - b.order)
    const set = [member.id, ...others.slice(0, expect - 1).map(({ id }) => id)].toSorted()
    enter(member, propose(member.state, set, below(3)), false)
    ask(n)
  }

  const loseDisk = (member: Member): void => {
    counts.lostDisks += 1
    member.disks += 1
    const n = members.indexOf(member)
    member.id = idOf(n, member.disks)
    if (random() < 0.5) member.saved = undefined
    restart(member)
  }

  const step = (): void => {
    const n = below(count)
    const shares = [mood.propose, 0.17, 0.04, mood.restart, losesDisks ? mood.lose : 0]
    let left = random()
    const chosen = shares.findIndex((share) => {
      left -= share
      return left < 0
    })
    if (chosen === 0) proposeAnything(n)
    else if (chosen === 1) ask(n)
    else if (chosen === 2) tell(n, below(count))
    else if (chosen === 3) restart(at(n))
    else if (chosen === 4) loseDisk(at(n))
    else if (messages.length > 0) {
      const i = below(messages.length)
      const message = messages[i]
      if (random() >= mood.again) messages.splice(i, 1)
      if (message !== undefined && random() < 0.9) deliver(message, false)
    }
    check()
  }

  const fail = (what: string): never => {
    throw new Error(`seed ${seed}: ${what}`)
  }
  const check = (): void => {
    for (const { saved, state } of members) {
      for (const record of [saved, state.record]) {
        if (record?.founded === undefined) continue
        const set = record.founded.members
        if (record.founded.meshId !== meshIdOf(set)) fail('a mesh id is not that of its set')
        if (!founded.has(meshIdOf(set))) counts.founded += 1
        founded.set(meshIdOf(set), set)
      }
    }
    const sets = [...founded.values()]
    for (const set of sets) {
      if (set.length !== expect) fail(`${set} is not ${expect} members`)
      const whole = [...everPromised.values()].some(
        ({ proposal, by }) => meshIdOf(proposal.set) === meshIdOf(set) && set.every((one) => by.has(one)),
      )
      if (!whole) fail(`${set} was founded and not promised by all of it`)
      for (const other of sets) {
        const common = set.find((one) => other.includes(one))
        if (other !== set && common !== undefined) fail(`${common} is in ${set} and in ${other}`)
      }
    }
    for (const { id, saved, state } of members) {
      for (const record of [saved, state.record]) {
        const set = sets.find((one) => one.includes(record?.member ?? id))
        const meshId = record === undefined ? undefined : meshIdIn(record)
        if (meshId !== undefined && !founded.has(meshId)) {
          // Its founder may have lost its disk since; then all of the set had promised it.
          const whole = [...everPromised.values()].some(
            ({ proposal, by }) => meshIdOf(proposal.set) === meshId && proposal.set.every((one) => by.has(one)),
          )
          if (!whole) fail(`${record?.member} belongs to ${meshId}, which was not founded`)
        }
        if (set === undefined || record === undefined) continue
        const bound = record.promise === undefined ? meshId : meshIdOf(record.promise.set)
        if (bound !== meshIdOf(set)) fail(`${record.member} founded ${set}, and is free or bound to ${bound}`)
      }
    }
  }

  /** All is well again: everybody asks, everything arrives, the lowest proposes. @returns whether all are in a mesh */
  const recover = (): boolean => {
    for (const member of members) restart(member, false)
    for (let turn = 0; turn < 3 * count; turn += 1) {
      messages = []
      for (const n of members.keys()) ask(n)
      while (messages.length > 0) {
        for (const message of messages.splice(0)) deliver(message, true)
        check()
      }
      for (const from of members.keys()) for (const to of members.keys()) tell(from, to)
      for (const message of messages.splice(0)) deliver(message, true)
      check()
      if (members.every(({ state }) => meshIdIn(state.record) !== undefined)) return true
      if (members.some(({ state }) => state.record.promise !== undefined)) continue
      const set = members
        .map(({ id }) => id)
        .toSorted()
        .slice(0, expect)
      const lowest = members.find(({ id }) => id === set[0])
      if (lowest === undefined) return false
      enter(
        lowest,
        propose(lowest.state, set, Math.max(...members.map(({ state }) => state.record.highest.counter))),
        true,
      )
    }
    return false
  }

  return { members, step, recover, counts, founded: () => [...founded.values()] }
}
