/**
 * The founding of a mesh over the Port: asks the peers how far they are, proposes when it is this node's turn, asks a
 * promised set again until it is decided, and saves before it says anything.
 *
 * The rules and why they are safe: founding-steps.ts; durable-founding.ts keeps them. Whose turn it is: founding-plan.ts; that only decides how
 * soon a mesh is founded, never whether two are. Once this node belongs to a mesh it asks nothing any more, and answers
 * whoever asks.
 *
 * State: the record and what was heard about its promise; what peers said of themselves; which questions are on their way.
 */
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Stop } from '../../port.ts'
import { peerOf } from '../member-id.ts'
import type { Founding, FoundingDeps, FoundingOptions } from './api.ts'
import { type FoundingAnnouncement, foundingProtocol } from './contract.ts'
import { createDurableFounding } from './durable-founding.ts'
import { createFoundingAnnouncements } from './founding-announcements.ts'
import { type FoundingPlan, planFounding } from './founding-plan.ts'
import { foundedMeshId, MAX_FOUNDERS, MeshIdSchema, type Proposal } from './founding-record.ts'
import { statusOf } from './founding-status.ts'
import { adoptMeshId, type FoundingState, meshIdIn, onAnswer, onProposal, propose, resume } from './founding-steps.ts'

/** Between two questions to the same peer. */
const ASK_MS = 1_000
/** How long each one leaves the proposal to those before it. */
const PATIENCE_MS = 2_000
/** After a refusal; doubled each time, and drawn between a half and one and a half of it. */
const BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5_000
/** A promise that is not decided by then needs somebody to look. */
const LATE_MS = 10_000

/** @returns how many this node expects; undefined: it never founds */
const checked = ({ member, expect, joins }: FoundingOptions, self: string): number | undefined => {
  if (peerOf(member) !== self) {
    throw new ParleyError('MSG001', `${member} is not a member id of this node, ${self}`, { hint: 'use memberIdOf' })
  }
  if (expect !== undefined && !(Number.isInteger(expect) && expect >= 1 && expect <= MAX_FOUNDERS)) {
    throw new ParleyError('MSG001', `expect is ${expect}; it must be a whole number from 1 to ${MAX_FOUNDERS}`, {
      hint: 'give the number of nodes that found the mesh together; any number may join it later',
    })
  }
  return expect ?? (joins ? undefined : 1)
}

/**
 * Resolves once this node takes part; one that founds alone has founded by then.
 * @throws MSG001 for options that cannot be; what the store says where it cannot be read; STA003 `unsaved`
 */
export const startFounding = async ({ port, store }: FoundingDeps, options: FoundingOptions): Promise<Founding> => {
  const { member } = options
  const expect = checked(options, port.self.id)
  const now = (): number => port.clock.monotonic()
  const counts = { proposed: 0, released: 0, unanswered: 0 }
  const listeners = new Set<(meshId: string) => void>()
  const standings = createFoundingAnnouncements(now)
  /** Members of the promised set whose peers came back without their disk. */
  const lost = new Set<string>()
  /** Questions on their way, each to be asked once at a time. */
  const asking = new Set<string>()
  const ending = new AbortController()
  const stops: Stop[] = []
  let stopAttempt: Stop = () => {}
  let promisedAtMs = now()
  /** Since when a set could be proposed. */
  let readyAtMs: number | undefined
  let notBeforeMs = 0
  let refusals = 0
  const warned = new Set<'division' | 'late'>()

  const saved = await store.load()
  const meshIdOf = (set: readonly string[]): string => foundedMeshId(port.hash, port.self.mesh, set)
  const durable = await createDurableFounding({
    store,
    log: port.log,
    first: resume({ member, expect, meshIdOf }, saved),
    saved,
    follow: (before) => follow(before.record),
  })
  const { apply } = durable
  const record = (): FoundingState['record'] => durable.state().record
  const meshId = (): string | undefined => meshIdIn(record())
  const isOpen = (): boolean => !ending.signal.aborted && meshId() === undefined

  /** Where nobody waits for the outcome: it comes up again. */
  const quietly = (done: Promise<unknown>): void => {
    done.catch((error: unknown) => {
      if (!isParleyError(error)) port.log.error('a step of the founding failed', { error })
    })
  }

  /** What a change of the record brings with it. */
  const follow = (was: FoundingState['record']): void => {
    const is = record()
    if (meshIdIn(was) === undefined && meshIdIn(is) !== undefined) {
      settle()
    } else if (was.promise === undefined && is.promise !== undefined) {
      promisedAtMs = now()
      readyAtMs = undefined
      askSet()
    } else if (was.promise !== undefined && is.promise === undefined) {
      counts.released += 1
      lost.clear()
      warned.delete('late')
      if (was.promise.round.proposer === member) backOff()
      askAll(0)
    }
  }
  const backOff = (): void => {
    const drawn = new DataView(port.random(4).slice().buffer).getUint32(0) / 2 ** 32
    notBeforeMs = now() + Math.min(BACKOFF_MS * 2 ** refusals, MAX_BACKOFF_MS) * (0.5 + drawn)
    refusals = Math.min(refusals + 1, 16)
  }
  /** This node belongs to a mesh now, for good. */
  const settle = (): void => {
    const id = meshId()
    if (id === undefined) return
    const { founded } = record()
    port.log.info(founded === undefined ? 'this node belongs to a founded mesh' : 'the mesh is founded', {
      meshId: id,
      ...(founded !== undefined && { members: founded.members }),
    })
    for (const { id: peer } of port.members()) if (!standings.isFounded(peer)) quietly(ask(peer))
    quiet()
    for (const fn of listeners) {
      try {
        fn(id)
      } catch (error) {
        port.log.error('somebody who waited for the mesh id failed', { error })
      }
    }
    listeners.clear()
  }
  const quiet = (): void => {
    stopAttempt()
    for (const stop of stops.splice(0)) stop()
    standings.clear()
  }

  const standing = (): FoundingAnnouncement => {
    const { member: own, promise, highest } = record()
    const id = meshId()
    const free = expect === undefined ? 'joiner' : 'candidate'
    return {
      state: id !== undefined ? 'founded' : promise !== undefined ? 'promised' : free,
      member: own,
      counter: highest.counter,
      ...(expect !== undefined && { expect }),
      ...(id !== undefined && { meshId: id }),
    }
  }
  const outlook = (): FoundingPlan | undefined => {
    if (!isOpen() || expect === undefined || record().promise !== undefined) return undefined
    // Who founds alone needs nobody.
    return planFounding({ ...standing(), expect }, expect === 1 ? [] : standings.fresh())
  }

  /** Proposes where it is this node's turn, or sees to it that this is looked at again then. */
  const attempt = (): void => {
    stopAttempt()
    const view = outlook()
    if (view?.isDivided && !warned.has('division')) {
      warned.add('division')
      port.log.warn('no mesh is founded', { problem: view.problem })
    }
    const { set, rank } = view ?? {}
    if (set === undefined || rank === undefined) {
      readyAtMs = undefined
      return
    }
    readyAtMs ??= now()
    const leftMs = Math.max(notBeforeMs, readyAtMs + rank * PATIENCE_MS) - now()
    if (leftMs > 0) stopAttempt = port.timers.after(leftMs, attempt)
    else quietly(proposeSet(set))
  }
  const proposeSet = async (set: readonly string[]): Promise<void> => {
    const above = Math.max(0, ...standings.fresh().map(({ counter }) => counter))
    notBeforeMs = now() + BACKOFF_MS
    if ((await apply((from) => propose(from, set, above))) !== undefined) counts.proposed += 1
  }

  const once = async (question: string, run: () => Promise<void>): Promise<void> => {
    if (ending.signal.aborted || asking.has(question)) return
    asking.add(question)
    try {
      await run()
    } catch {
      counts.unanswered += 1
    } finally {
      asking.delete(question)
    }
  }
  const ask = (peer: string): Promise<void> =>
    once(`ask ${peer}`, async () => {
      see(peer, await port.to(peer, foundingProtocol).ask({ standing: standing() }, { signal: ending.signal }))
    })
  /** @param ageMs whoever was heard of more lately is left out, as is whoever `askSet` asks */
  const askAll = (ageMs = ASK_MS / 2): void => {
    for (const { id } of port.members()) {
      if (standings.ageMs(id) >= ageMs && placeOf(id) === undefined) quietly(ask(id))
    }
  }

  /** The member that this peer is, in the promised set. */
  const placeOf = (peer: string): string | undefined => record().promise?.set.find((one) => peerOf(one) === peer)
  const askFor = (proposal: Proposal, asked: string): Promise<void> => {
    const peer = peerOf(asked)
    return once(`propose ${proposal.round.counter} ${proposal.round.proposer} ${peer}`, async () => {
      const answer = await port.to(peer, foundingProtocol).propose(proposal, { signal: ending.signal })
      if (peerOf(answer.member) !== peer) throw new ParleyError('MSG001', `${peer} speaks for ${answer.member}`)
      if (answer.member !== asked && record().promise !== undefined) lost.add(asked)
      await apply((from) => onAnswer(from, proposal, answer))
    })
  }
  const askSet = (): void => {
    const { promised } = durable.state()
    const { promise, member: own } = record()
    for (const one of promise?.set ?? []) {
      if (promise !== undefined && one !== own && !promised.includes(one)) quietly(askFor(promise, one))
    }
  }

  /** What a peer says of itself. */
  const see = (peer: string, said: FoundingAnnouncement): void => {
    if (peerOf(said.member) !== peer) {
      const hint = 'a node tells its own member id'
      throw new ParleyError('MSG001', `${peer} speaks for ${said.member}`, { hint })
    }
    if (!isOpen()) return
    standings.put(peer, said)
    const { promise } = record()
    const place = placeOf(peer)
    const { meshId: theirs } = said
    if (theirs !== undefined) quietly(apply((from) => adoptMeshId(from, theirs)))
    // It does not hold the promise: what it answers may decide.
    else if (promise !== undefined && place !== undefined && said.state !== 'promised') quietly(askFor(promise, place))
    attempt()
  }

  const isLate = (): boolean => record().promise !== undefined && now() - promisedAtMs >= LATE_MS
  const status: Founding['status'] = () => statusOf(durable.state(), { plan: outlook(), isLate: isLate(), lost })
  const look = (): void => {
    askSet()
    askAll()
    attempt()
    if (!isLate() || warned.has('late')) return
    warned.add('late')
    port.log.warn('the founding of the mesh does not get on', { problem: status().problem })
  }

  if (expect === 1) await apply((from) => propose(from, [member], 0))

  const unserve = await port.serve(foundingProtocol, {
    async ask({ standing: said }, { peer }) {
      see(peer, said)
      return standing()
    },
    async propose(proposal, { peer }) {
      const peers = proposal.set.map(peerOf)
      if (peers.includes(port.self.id) && peers.includes(peer)) return apply((from) => onProposal(from, proposal))
      throw new ParleyError('MSG001', 'the proposed set does not have both who asks and who is asked', {
        hint: 'a founding set is proposed to its members, by its members',
      })
    },
  })
  if (isOpen()) {
    stops.push(
      port.timers.every(ASK_MS, look),
      port.onMember(({ id }, change) => {
        const { promise } = record()
        const place = placeOf(id)
        if (change === 'left') standings.forget(id)
        else quietly(promise !== undefined && place !== undefined ? askFor(promise, place) : ask(id))
      }),
    )
    look()
  }

  return {
    meshId,
    founded: () => record().founded,
    recovered: () => record().adopted?.recovered,
    status,
    async adopt(id) {
      if (MeshIdSchema.safeParse(id).success) return apply((from) => adoptMeshId(from, id))
      throw new ParleyError('MSG001', `${JSON.stringify(id).slice(0, 128)} is no mesh id`, {
        hint: 'a mesh id is 32 lowercase hexadecimal digits',
      })
    },
    onMeshId(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    counts: () => {
      const { unsaved, waitedTooMany } = durable.counts()
      return { ...counts, unsaved, dropped: standings.dropped() + waitedTooMany }
    },
    async stop() {
      ending.abort(new ParleyError('STA003', 'this node is stopping', { details: { reason: 'closed' } }))
      quiet()
      await durable.close()
      await unserve()
    },
  }
}
