/**
 * What runs on a simulated node for each message: it keeps that it was there, answers, has outside effects; and it may be
 * slow, fail, hang, or go on after its time.
 *
 * State: the mood of each node, which faults.ts changes.
 */

import type { VirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import type { MessageContext, MessageHandler, Messages, Tx } from '../../../protocols/delivery/api.ts'
import type { MessageDefinition } from '../../../protocols/delivery/define-message.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Registration } from '../../../protocols/registration.ts'
import type { Ledger } from './ledger.ts'
import {
  Answered,
  accountKey,
  bucketKey,
  conversationKey,
  countOf,
  Fired,
  seenKey,
  Transfer,
  Work,
  type WorkData,
} from './messages.ts'

/** Shares of the runs of handlers. */
export interface Mood {
  slow: number
  failing: number
  /** Fails in a way that is not tried again. */
  refusing: number
  hanging: number
  /** Goes on after its time is over. */
  late: number
}

export const WELL: Mood = { slow: 0.2, failing: 0, refusing: 0, hanging: 0, late: 0 }

export interface ProgramHost {
  readonly name: string
  readonly mood: Mood
  readonly handlerTimeoutMs: number
  /** Of its disk. */
  readonly generation: number
  /** The process that it ran in is gone. */
  isOver(): boolean
  nameOf(peer: string): string
  progressed(): void
  /** A program has the result of an outside effect. */
  acted(): void
  /** So many more handlers of messages that are not kept are at work. */
  fired(by: number): void
}

const SLOW_MS = [0, 40] as const

export const createPrograms = (time: VirtualTime, random: () => number, ledger: Ledger) => {
  const chance = (share: number): boolean => share > 0 && random() < share
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => time.after(ms, resolve))

  const sleepSlowly = (): Promise<void> => sleep(SLOW_MS[0] + random() * (SLOW_MS[1] - SLOW_MS[0]))

  const behave = async (
    { mood, handlerTimeoutMs, progressed }: ProgramHost,
    context: MessageContext,
  ): Promise<void> => {
    if (chance(mood.refusing)) throw new ParleyError('MSG001', 'this program does not like it')
    if (chance(mood.failing)) throw new Error('this program fails')
    if (chance(mood.hanging)) await new Promise(() => {})
    if (chance(mood.late)) await sleep(handlerTimeoutMs * (1 + random()))
    else if (chance(0.05)) {
      // Longer than its time, and says so.
      for (let part = 0; part < 3; part += 1) {
        await sleep(handlerTimeoutMs * 0.6)
        context.progress()
      }
      progressed()
    } else if (chance(mood.slow)) await sleepSlowly()
  }

  const keep = async (tx: Tx, id: number): Promise<void> => {
    const seen = countOf(await tx.get(seenKey(id)))
    const bucket = countOf(await tx.get(bucketKey(id)))
    tx.put(seenKey(id), seen + 1)
    tx.put(bucketKey(id), bucket + 1)
  }

  const act = async (host: ProgramHost, context: MessageContext, id: number): Promise<void> => {
    await context.effect('act', async () => {
      const sent = ledger.find(id)
      if (sent?.actedAt.has(`${host.name} ${host.generation}`) === true && !sent.ranAt.has(host.name) && !host.isOver())
        ledger.failed(`the effect of message ${id} is run again at ${host.name}, although its result was kept`)
      if (chance(0.3)) await sleep(random() * 20)
      return id
    })
    const sent = ledger.find(id)
    if (host.isOver()) return
    sent?.actedAt.add(`${host.name} ${host.generation}`)
    host.acted()
    if (chance(host.mood.slow)) await sleepSlowly()
  }

  const work = async (host: ProgramHost, data: WorkData, context: MessageContext): Promise<void> => {
    const { tx, message } = context
    const { id, from, conversation, place } = data
    if (data.acts) await act(host, context, id)
    if (data.keeps) {
      await keep(tx, id)
      if (conversation !== undefined) {
        const key = conversationKey(from, conversation)
        const places = await tx.get(key)
        tx.put(key, [...(Array.isArray(places) ? places : []), place])
      }
    }
    if (data.answers) {
      const to = host.nameOf(message.source)
      const answer = ledger.begin({
        from: host.name,
        to: [to],
        guarantee: 'EXACTLY_ONCE',
        keeps: true,
        amount: 0,
        of: id,
      })
      await tx.send(message.source, Answered, { id: answer.id, of: id }, { guarantee: 'EXACTLY_ONCE' })
    }
  }

  /** It counts until it ends, or its time does. */
  const firedAt = (host: ProgramHost, { signal }: MessageContext): (() => void) => {
    let isOpen = true
    host.fired(1)
    const end = (): void => {
      if (isOpen) host.fired(-1)
      isOpen = false
    }
    signal.addEventListener('abort', end, { once: true })
    return end
  }

  /** Registers them all. @returns what ends each */
  return async (host: ProgramHost, messages: Messages): Promise<Map<string, Registration>> => {
    const stops = new Map<string, Registration>()
    const receive = async <T extends { id: number }>(
      definition: MessageDefinition,
      run: (data: T, context: MessageContext) => Promise<void>,
    ): Promise<void> => {
      const handler = async (data: T, context: MessageContext): Promise<void> => {
        const end = definition === Fired ? firedAt(host, context) : undefined
        try {
          await behave(host, context)
          await run(data, context)
          if (chance(host.mood.failing / 2)) throw new Error('this program fails at the end')
          if (!host.isOver() && !context.signal.aborted) ledger.ran(data.id, host.name)
        } finally {
          end?.()
        }
      }
      // The schema of the definition is that of T: see the calls below.
      stops.set(definition.type, await messages.receive(definition, handler as MessageHandler<unknown>))
    }
    await receive<WorkData>(Work, (data, context) => work(host, data, context))
    await receive<{ id: number }>(Answered, ({ id }, { tx }) => keep(tx, id))
    await receive<{ id: number; account: number; amount: number }>(
      Transfer,
      async ({ id, account, amount }, { tx }) => {
        await keep(tx, id)
        const key = accountKey(account)
        tx.put(key, countOf(await tx.get(key)) + amount)
      },
    )
    await receive<{ id: number }>(Fired, ({ id }, { tx }) => keep(tx, id))
    return stops
  }
}
