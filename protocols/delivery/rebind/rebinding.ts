/**
 * Moves messages to a capability away from a peer that stays away: to another one that offers it, or to the dead letters.
 *
 * Promises: what is decided on a conversation is one commit, in which its messages lose their numbers towards the one peer
 * and get others towards the other one, in their order; what is sent after that goes there too. A conversation is moved
 * at most once in `rebindAfterMs`. Without a taker its messages wait. rebind-plan.ts decides, peer-absences.ts knows how long a peer
 * has been away.
 * State: destinations that are being looked at, or were in vain just now.
 */
import type { Fault } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { NewDeadLetter } from '../dead-letters/dead-letter.ts'
import { decodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { ConversationBindings } from '../send/conversation-bindings.ts'
import type { Outbox, StagedChanges } from '../send/outbox.ts'
import type { OutgoingMessage } from '../send/outgoing-message.ts'
import { deadLetterError } from '../send/peer/dead-letter-policy.ts'
import type { PeerSender } from '../send/peer/peer-sender.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import type { LateAnswers } from './late-answers.ts'
import type { PeerAbsences } from './peer-absences.ts'
import { planRebind, type RebindFacts, type RebindPlan, rebindGroupsOf } from './rebind-plan.ts'

export interface RebindingDeps {
  readonly port: Pick<Port, 'clock' | 'log' | 'members'>
  readonly store: Pick<RowStore, 'commit' | 'later'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'rebindAfterMs'>
  readonly outbox: Pick<Outbox, 'destinations' | 'isBusy' | 'ready' | 'stage'>
  readonly bindings: ConversationBindings
  readonly absences: PeerAbsences
  readonly lateAnswers: Pick<LateAnswers, 'expect'>
  /** Who offers it and is well, the least loaded first. */
  choose(capability: string, except: (peer: string) => boolean): string | undefined
  /** It said that it does not come back. */
  hasLeft(peer: string): boolean
  addDeadLetter(death: NewDeadLetter): { id: string; changes: RowChange[]; done: () => void }
  count(what: 'moved' | 'receiverGone', by: number): void
}

export interface Rebinding {
  tick(): void
  stop(): void
}

const LOOK_MS = 500
/** Until another look at messages that wait for somebody to take them. */
const REST_MS = 2_000
/** A node that stood still longer does not know who was away meanwhile. */
const MOST_MS = 4 * LOOK_MS
/** What is decided on and read from the disk at a time: so many messages, and bytes; a larger conversation goes alone. */
const ROUND_MESSAGES = 1_024
const ROUND_BYTES = 8 * 1024 * 1024

/** A peer that refuses this node's messages is not away. */
const isWaitedFor = (destination: PeerSender): boolean =>
  (destination.state() === 'idle' || destination.state() === 'greeting') && destination.size() > 0

const receiverGone = (capability: string): Fault => ({
  code: 'COM002',
  message: 'receiver-gone: the peer stayed away, and whether it processed the message is not known',
  hint: `see at the peer if it comes back; then purge it, or retry it, which sends it to whoever offers ${capability}. With rebind: 'allowed' such messages go to another peer by themselves`,
})

const newDeadLetterOf = (entry: OutgoingMessage, message: Uint8Array, peer: string, now: number): NewDeadLetter => {
  const { policy, attempts, firstFailureAt, bound } = entry
  return {
    destination: peer,
    capability: bound?.capability,
    message,
    policy,
    fault: receiverGone(bound?.capability ?? ''),
    attempts,
    firstFailureAt: firstFailureAt ?? now,
    lastFailureAt: now,
  }
}

/** All of it in one turn, but for what follows once it is durable. @returns how many were moved or died */
const carryOut = async (
  deps: RebindingDeps,
  destination: PeerSender,
  { group, to, ...move }: RebindPlan,
): Promise<number> => {
  const { port, store, outbox, bindings } = deps
  const { peer } = destination
  const now = port.clock.now()
  const changes = new Map<string, RowChange>()
  const put = (more: readonly RowChange[]): void => {
    for (const change of more) changes.set(change.key, change)
  }
  const staged: StagedChanges[] = []
  const ids: string[] = []
  const moved = move.moved.filter(({ body }) => body !== undefined)
  for (const { body, rank, policy, expiresAt, bound, onOutcome } of moved) {
    if (body === undefined || to === undefined) continue
    const draft = { bytes: body, priority: PRIORITIES[rank] ?? 'normal', policy, expiresAt, bound }
    staged.push(outbox.stage(to, { ...draft, conversationId: group.conversationId }, onOutcome))
    ids.push(decodeMessage(body).id)
  }
  const dead = move.dead.flatMap((entry) => {
    const { body } = entry
    return body === undefined ? [] : [{ entry, ...deps.addDeadLetter(newDeadLetterOf(entry, body, peer, now)) }]
  })
  for (const one of [...staged, ...dead]) put(one.changes)
  put(destination.withdraw([...moved, ...dead.map(({ entry }) => entry)]))
  if (to !== undefined && moved.length > 0) put(bindings.bind(group, to, Math.floor(now)))
  put(deps.lateAnswers.expect(ids))
  await store.commit([...changes.values()])
  for (const one of staged) one.launch()
  deps.count('moved', moved.length)
  deps.count('receiverGone', dead.length)
  if (to !== undefined) for (const { onOutcome } of moved) onOutcome?.(undefined, to)
  for (const { entry, id, done } of dead) {
    done()
    entry.onOutcome?.(deadLetterError(receiverGone(group.capability), id, entry.attempts, peer, 'receiver-gone'))
  }
  port.log.warn('a peer stayed away: its messages to a capability go to another one, or to the dead letters', {
    capability: group.capability,
    conversationId: group.conversationId,
    from: peer,
    destination: to,
    moved: moved.length,
    dead: dead.length,
  })
  return moved.length + dead.length
}

export const createRebinding = (deps: RebindingDeps): Rebinding => {
  const { port, store, settings, outbox, bindings, absences } = deps
  /** Monotonic: until when nobody looks at it; without end while it is being looked at. */
  const resting = new Map<string, number>()
  let lookedAt: number | undefined
  let isStopped = false

  const factsOf = (
    destination: PeerSender,
    move: { capability: string; conversationId: string | undefined },
  ): RebindFacts => {
    const movedAt = bindings.movedAt(move)
    return {
      taker: deps.choose(move.capability, (peer) => peer === destination.peer || absences.ms(peer) > 0),
      hasLeft: deps.hasLeft(destination.peer),
      movedAgoMs: movedAt === undefined ? undefined : port.clock.now() - movedAt,
      rebindAfterMs: settings.rebindAfterMs,
      isUnknown: (entry) => destination.isUnknown(entry),
    }
  }

  /** Some of those that need not wait. */
  const planSome = (destination: PeerSender): RebindPlan[] => {
    const moves: RebindPlan[] = []
    let messages = 0
    let bytes = 0
    for (const group of rebindGroupsOf(destination.movable())) {
      const next = planRebind(group, factsOf(destination, group))
      if (next === undefined) continue
      messages += group.entries.length
      for (const { size } of group.entries) bytes += size
      if (moves.length > 0 && (messages > ROUND_MESSAGES || bytes > ROUND_BYTES)) break
      moves.push(next)
    }
    return moves
  }

  /** @returns how many were moved or died */
  const moveSome = (destination: PeerSender): Promise<number> =>
    destination.exclusive(async () => {
      const moves = planSome(destination)
      await destination.load(moves.flatMap(({ moved, dead }) => [...moved, ...dead]))
      const takers = [...new Set(moves.flatMap(({ to }) => to ?? []))]
      while (outbox.isBusy(takers)) await outbox.ready(takers)
      if (isStopped || !isWaitedFor(destination)) return 0
      const counts = await Promise.all(moves.map((move) => carryOut(deps, destination, move)))
      return counts.reduce((sum, count) => sum + count, 0)
    })

  const move = async (destination: PeerSender): Promise<void> => {
    resting.set(destination.peer, Number.POSITIVE_INFINITY)
    try {
      // Nobody is held up for nothing.
      while (!isStopped && planSome(destination).length > 0) if ((await moveSome(destination)) === 0) break
    } catch (error) {
      // They are where they were when the rows are read anew.
      port.log.info('messages to a capability could not be moved', { from: destination.peer, error })
    } finally {
      resting.set(destination.peer, port.clock.monotonic() + REST_MS)
    }
  }

  return {
    tick() {
      const now = port.clock.monotonic()
      if (isStopped || (lookedAt !== undefined && now - lookedAt < LOOK_MS)) return
      const elapsedMs = lookedAt === undefined ? 0 : Math.min(now - lookedAt, MOST_MS)
      lookedAt = now
      for (const [peer, until] of resting) if (until <= now) resting.delete(peer)
      const away = outbox.destinations().filter(isWaitedFor)
      const isAlone = port.members().length === 0
      const peers = away.map(({ peer }) => peer)
      const changes = absences.step(peers, elapsedMs, isAlone)
      if (changes.length > 0) store.later(changes)
      if (isAlone) return
      for (const destination of away) {
        const { peer } = destination
        const isDue = absences.ms(peer) >= settings.rebindAfterMs || deps.hasLeft(peer)
        if (isDue && (resting.get(peer) ?? 0) <= now) void move(destination)
      }
    },
    stop() {
      isStopped = true
    },
  }
}
