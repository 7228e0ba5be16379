/**
 * A sender, a receiver and a third one that both send to are killed again and again: in the midst, several times in a row,
 * while they start. Each round sends its share; every few rounds all is delivered, all are killed once more, and what is on
 * their disks is judged.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { StartRefused } from '../../nodes.ts'
import type { MessageFigures } from '../judge-messages.ts'
import type { LoadOrder } from '../load.ts'
import type { Party } from '../parties.ts'
import type { MessageFindings } from '../play.ts'
import { type MessageStage, RECEIVER, SENDER, THIRD } from '../stage.ts'

export interface KillsPlan {
  readonly rounds: number
  /** In all. */
  readonly messages: number
  /** Rounds after which all is judged. */
  readonly judgeEvery: number
}

/** Of a round: kills come within this time. */
const ROUND_MS = 600
const SEND_AGAIN_MS = 20
const ROUND_LIMIT_MS = 60_000

/** Sends so many, over as many lives as it takes. */
const createShare = (stage: MessageStage) => {
  const sender = stage.party(SENDER)
  let total = 0
  const refused: Record<string, number> = {}
  /** By life. */
  const told = new Map<number, number>()
  const look = async (): Promise<void> => {
    const life = sender.lives
    const figures = await sender.ask('load').catch(() => undefined)
    if (figures === undefined || life !== sender.lives) return
    total += figures.sent - (told.get(life) ?? 0)
    told.set(life, figures.sent)
    for (const [code, n] of Object.entries(figures.refused)) refused[`${life} ${code}`] = n
  }
  return {
    total: () => total,
    /** What the killed ones did not come to tell, and answers, count too. */
    correct(found: number): void {
      total = Math.max(total, found)
    },
    refused: () => refused,
    async send(count: number, order: Omit<LoadOrder, 'count' | 'life'>): Promise<void> {
      const target = total + count
      const endsAt = performance.now() + ROUND_LIMIT_MS
      while (total < target) {
        if (performance.now() > endsAt) throw new Error(`only ${count - target + total} of ${count} were sent`)
        if (sender.isThere) {
          const running = sender.ask('send', { ...order, count: target - total, life: sender.lives })
          await running.catch(() => undefined)
          await look()
        }
        if (total < target) await delay(SEND_AGAIN_MS)
      }
    },
    look,
  }
}

/** Starts it; one that is killed while it starts is started again by whoever killed it. @throws StartRefused */
const begin = async (party: Party): Promise<void> => {
  try {
    await party.start()
  } catch (error) {
    if (error instanceof StartRefused) throw error
  }
}

/** Kills of one round, each at its moment. */
const strike = async (stage: MessageStage, victims: readonly Party[]): Promise<void> => {
  const { random } = stage
  const one = async (party: Party): Promise<void> => {
    await delay(random.next() * ROUND_MS)
    await party.kill()
    await begin(party)
  }
  const style = random.next()
  const victim = random.pick(victims)
  if (victim === undefined) return
  if (style < 0.55) await one(victim)
  else if (style < 0.75) await Promise.all(victims.map(one))
  else if (style < 0.9) {
    // In quick succession, mostly while it starts.
    await delay((random.next() * ROUND_MS) / 2)
    for (let i = 0; i < 2 + random.below(2); i += 1) {
      await victim.kill()
      const starting = begin(victim)
      await delay(random.next() * 700)
      await victim.kill()
      await starting
    }
    await victim.start()
  } else {
    // Both at the same moment.
    await delay(random.next() * ROUND_MS)
    await Promise.all(victims.map((party) => party.kill()))
    await Promise.all(victims.map((party) => party.start()))
  }
}

export const messageKills =
  ({ rounds, messages, judgeEvery }: KillsPlan) =>
  async (stage: MessageStage): Promise<MessageFindings> => {
    const { parties, random, say } = stage
    const share = createShare(stage)
    const ids = (names: readonly string[]): string[] => names.map((name) => stage.party(name).id)
    const violations: string[] = []
    let figures: MessageFigures | undefined
    let slowestDrainMs = 0
    for (let round = 1; round <= rounds; round += 1) {
      const withThird = round % 4 === 0
      const peers = ids(withThird ? [RECEIVER, THIRD] : [RECEIVER])
      const victims = parties.filter(({ name }) => withThird || name !== THIRD)
      const count = Math.max(1, Math.ceil((messages * round) / rounds) - share.total())
      const seed = random.below(2 ** 31)
      await Promise.all([share.send(count, { phase: 'a', seed, peers }), strike(stage, victims)])
      if (round % judgeEvery !== 0 && round !== rounds) continue
      const drainMs = await stage.drained()
      slowestDrainMs = Math.max(slowestDrainMs, drainMs)
      const { figures: now, wrong } = await stage.judge()
      figures = now
      share.correct(now.messages)
      say(
        `round ${round}: ${now.messages} messages, ${parties.reduce((sum, { kills }) => sum + kills, 0)} kills, drained in ${Math.round(drainMs)} ms`,
      )
      if (wrong.length === 0) continue
      violations.push(`after round ${round}:`, ...wrong)
      break
    }
    const refused = Object.entries(share.refused()).filter(([code]) => !code.includes('COM003'))
    for (const [code, n] of refused) violations.push(`${n} sends failed with ${code} (life and code)`)
    if (figures !== undefined && figures.messages < messages && violations.length === 0)
      violations.push(`only ${figures.messages} of ${messages} messages were sent`)
    return {
      figures: {
        rounds,
        ...Object.fromEntries(parties.map(({ name, kills }) => [`kills of ${name}`, kills])),
        ...figures,
        'slowest drain, ms': slowestDrainMs,
      },
      violations,
    }
  }
