/**
 * What simulated programs sent, and what became of it: held against the rows on the disks. The first thing that is wrong
 * is kept, and ends the run.
 *
 * State: all messages of a run.
 */

import type { RowsDisk } from '../../../node/testing/virtual/rows-disk.ts'
import type { Guarantee } from '../../../protocols/delivery/durable-message.ts'
import { ACCOUNTS, ANYBODY, accountKey, bucketKey, countOf, keptIn, keysOf, seenKey } from './messages.ts'

export type Fate = 'open' | 'accepted' | 'refused'

export interface Sent {
  readonly id: number
  readonly from: string
  /** Undefined: whoever offers it. */
  readonly to: readonly string[] | undefined
  readonly guarantee: Guarantee
  readonly keeps: boolean
  /** EXACTLY_ONCE: the sender takes it that a second node may process it. */
  readonly mayRebind?: boolean
  /** Of the disk of its sender. */
  readonly generation: number
  /** Of each destination's disk when it was accepted. */
  readonly generations: ReadonlyMap<string, number>
  fate: Fate
  /** Nodes whose handler ran to its end. */
  readonly ranAt: Set<string>
  /** What it moves. */
  readonly amount: number
  /** The one that it answers. */
  readonly of: number | undefined
  /** Nodes that have kept the result of its outside effect, each with its disk's generation. */
  readonly actedAt: Set<string>
}

export interface LedgerNode {
  readonly name: string
  readonly disk: RowsDisk
}

/** Of one message for one destination. */
export interface Dead {
  readonly id: number
  readonly from: string
  /** A node's name; undefined for one that nobody was found for. */
  readonly to: string | undefined
}

export interface Ledger {
  begin(about: Pick<Sent, 'from' | 'to' | 'guarantee' | 'keeps' | 'mayRebind' | 'amount' | 'of'>): Sent
  accepted(sent: Sent): void
  refused(sent: Sent): void
  find(id: number): Sent | undefined
  ran(id: number, at: string): void
  /** A conversation of a sender goes to this node from now on, and another one had it before: what waits goes there. */
  moved(from: string, conversation: string, to: string): void
  /** Its receipt says that every destination has processed it. */
  delivered(sent: Sent): void
  failed(message: string): void
  problem(): string | undefined
  /** After everything was delivered. */
  audit(dead: readonly Dead[]): void
  readonly counts: { sent: number; accepted: number; refused: number; processed: number; delivered: number }
}

export const createLedger = (nodes: readonly LedgerNode[]): Ledger => {
  const all: Sent[] = []
  /** How often, by sender, conversation and node. */
  const moves = new Map<string, number>()
  const counts = { sent: 0, accepted: 0, refused: 0, processed: 0, delivered: 0 }
  let problem: string | undefined
  const failed = (message: string): void => {
    problem ??= message
  }
  const generations = (): Map<string, number> => new Map(nodes.map(({ name, disk }) => [name, disk.generation()]))
  const diskOf = (name: string): RowsDisk | undefined => nodes.find((node) => node.name === name)?.disk
  const isIntact = (sent: Sent, name: string): boolean => sent.generations.get(name) === diskOf(name)?.generation()
  const seenAt = (id: number, name: string): number => countOf(keptIn(diskOf(name)?.synced() ?? new Map(), seenKey(id)))
  const nameOf = ({ id, from, to, guarantee }: Sent): string =>
    `message ${id} (${guarantee}, ${from} to ${to?.join() ?? 'anybody'})`

  const auditAt = (sent: Sent, at: string, isDead: boolean): void => {
    const seen = seenAt(sent.id, at)
    if (sent.guarantee !== 'AT_LEAST_ONCE' && seen > 1) failed(`${nameOf(sent)} had its effect ${seen} times at ${at}`)
    const isOfThisDisk = sent.generation === diskOf(sent.from)?.generation()
    if (sent.fate !== 'accepted' || sent.guarantee === 'AT_MOST_ONCE' || isDead || !isOfThisDisk) return
    if (!sent.ranAt.has(at)) failed(`${nameOf(sent)} was accepted, and ${at} did not process it`)
    if (sent.keeps && isIntact(sent, at) && seen === 0)
      failed(`${nameOf(sent)} was accepted, and its effect is not there at ${at}`)
  }

  const auditAnybody = (sent: Sent, isDead: boolean): void => {
    const each = nodes.map(({ name }) => seenAt(sent.id, name))
    const seen = each.reduce((sum, one) => sum + one, 0)
    const most = sent.mayRebind === true ? Math.max(...each) : seen
    if (sent.guarantee === 'EXACTLY_ONCE' && most > 1) failed(`${nameOf(sent)} had its effect ${most} times`)
    if (sent.fate !== 'accepted' || isDead || sent.generation !== diskOf(sent.from)?.generation()) return
    if (sent.ranAt.size === 0) failed(`${nameOf(sent)} was accepted, and nobody processed it`)
    const at = [...sent.ranAt]
    if (sent.keeps && seen === 0 && at.every((name) => isIntact(sent, name)))
      failed(`${nameOf(sent)} was accepted, and its effect is not there at ${at.join()}`)
  }

  /** An answer is there if and only if what it answers had its effect; only where no disk was set back. */
  const auditAnswers = (isDead: (id: number, to: string) => boolean): void => {
    for (const sent of all) {
      if (sent.of === undefined) continue
      const [to = ''] = sent.to ?? []
      const isSeen = seenAt(sent.id, to) > 0
      const isCaused = seenAt(sent.of, sent.from) > 0
      if (isSeen && !isCaused) failed(`${nameOf(sent)} is there, and what it answers (${sent.of}) had no effect`)
    }
    for (const { id } of all) {
      const answers = all.filter(({ of }) => of === id)
      for (const from of new Set(answers.map((answer) => answer.from))) {
        const mine = answers.filter((answer) => answer.from === from)
        const seen = seenAt(id, from)
        if (seen === 0) continue
        const arrived = mine.filter((sent) => seenAt(sent.id, sent.to?.[0] ?? '') > 0).length
        if (arrived > seen)
          failed(`message ${id} had its effect ${seen} times at ${from}, and was answered ${arrived} times`)
        const there = mine.filter(
          (sent) => seenAt(sent.id, sent.to?.[0] ?? '') > 0 || isDead(sent.id, sent.to?.[0] ?? ''),
        )
        if (there.length === 0) failed(`message ${id} had its effect at ${from}, and its answer is lost`)
      }
    }
  }

  const auditMoney = (isDead: (id: number, to: string) => boolean): void => {
    let sum = 0
    for (const { disk } of nodes)
      for (let account = 0; account < ACCOUNTS; account += 1) sum += countOf(keptIn(disk.synced(), accountKey(account)))
    for (const { id, to, amount } of all) {
      const [at = ''] = to ?? []
      if (amount > 0 && seenAt(id, at) === 0 && isDead(id, at)) sum += amount
    }
    if (sum !== 0) failed(`what the accounts of all nodes hold together is ${sum}, not 0`)
  }

  /** Many handlers change these at the same time: each change must be in them. */
  const auditBuckets = (): void => {
    for (const { name, disk } of nodes) {
      const rows = disk.synced()
      const sums = new Map<string, number>()
      for (const key of keysOf(rows, 'seen/')) {
        const bucket = bucketKey(Number(key.slice('seen/'.length)))
        sums.set(bucket, (sums.get(bucket) ?? 0) + countOf(keptIn(rows, key)))
      }
      for (const [bucket, sum] of sums) {
        const kept = countOf(keptIn(rows, bucket))
        if (kept !== sum) failed(`${bucket} of ${name} is ${kept}, and ${sum} changes of it count`)
      }
    }
  }

  const auditOrder = (): void => {
    for (const { name, disk } of nodes)
      for (const key of keysOf(disk.synced(), 'order/')) {
        const places = keptIn(disk.synced(), key)
        const [, from = '', conversation = ''] = key.split('/')
        // Of a sender that was set back twice, what need not count once may come again, after what came later.
        if (!Array.isArray(places) || (diskOf(from)?.generation() ?? 0) > 1) continue
        // What is moved to it may have been there before; from the first one on it is in order again.
        let again = conversation.startsWith(ANYBODY) ? (moves.get(`${from}/${conversation}/${name}`) ?? 0) : 0
        for (const [i, place] of places.entries())
          if (i > 0 && place <= places[i - 1] && again-- <= 0)
            failed(`${key} of ${name} was processed in the order ${places.slice(Math.max(0, i - 4), i + 1).join()}`)
      }
  }

  return {
    counts,
    failed,
    problem: () => problem,
    find: (id) => all[id - 1],
    begin({ from, ...about }) {
      const generation = diskOf(from)?.generation() ?? 0
      const sent: Sent = {
        ...about,
        id: all.length + 1,
        from,
        generation,
        generations: generations(),
        fate: 'open',
        ranAt: new Set(),
        actedAt: new Set(),
      }
      all.push(sent)
      counts.sent += 1
      return sent
    },
    accepted(sent) {
      sent.fate = 'accepted'
      counts.accepted += 1
    },
    refused(sent) {
      sent.fate = 'refused'
      counts.refused += 1
    },
    ran(id, at) {
      counts.processed += 1
      all[id - 1]?.ranAt.add(at)
    },
    moved(from, conversation, to) {
      const name = `${from}/${conversation}/${to}`
      moves.set(name, (moves.get(name) ?? 0) + 1)
    },
    delivered(sent) {
      counts.delivered += 1
      const destinations = sent.to ?? [...sent.ranAt]
      if (sent.to === undefined && destinations.length === 0)
        failed(`${nameOf(sent)} is told to be delivered, and nobody processed it`)
      for (const to of destinations) {
        if (!sent.ranAt.has(to)) failed(`${nameOf(sent)} is told to be delivered, and ${to} did not process it`)
        else if (sent.to !== undefined && sent.keeps && isIntact(sent, to) && seenAt(sent.id, to) === 0)
          failed(`${nameOf(sent)} is told to be delivered, and its effect is not on the disk of ${to}`)
      }
    },
    audit(dead) {
      const isDead = (id: number, to: string): boolean => dead.some((one) => one.id === id && one.to === to)
      for (const sent of all) {
        if (sent.to === undefined)
          auditAnybody(
            sent,
            dead.some(({ id }) => id === sent.id),
          )
        else for (const to of sent.to) auditAt(sent, to, isDead(sent.id, to))
      }
      auditOrder()
      auditBuckets()
      if (nodes.some(({ disk }) => disk.generation() > 0)) return
      auditAnswers(isDead)
      auditMoney(isDead)
    },
  }
}
