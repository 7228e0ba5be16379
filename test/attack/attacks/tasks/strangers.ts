/** A stranger, without the secret, that asks for all that a member may ask about tasks. T10. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import type { Member } from '../../members/member.ts'
import type { Attacker } from '../../raw/attacker.ts'
import { createBytesHand, hashOf } from '../../raw/task-bytes.ts'
import { createTaskHand, type Outcome, type SeenTask } from '../../raw/tasks.ts'
import { inWorkshop, judge, type Workshop } from './workshop.ts'

const OUTSIDERS = 4
const PAUSE_MS = 50
const RETRY = { max: 0, delayMs: 0, maxDelayMs: 0 }
/** It is told so, or nothing. */
const REFUSED: readonly Outcome[] = ['silent', 'SEC001', 'SEC002', 'SEC004']
const ofThrown = (error: unknown): Outcome => /[A-Z]{3}\d{3}/.exec(String(error))?.[0] ?? 'silent'
const read = async (asked: Promise<readonly unknown[]>, what: string): Promise<Outcome> => {
  try {
    const found = await asked
    return found.length === 0 ? 'silent' : what
  } catch (error) {
    return ofThrown(error)
  }
}

/** All of it over one connection that showed no token. */
const askAll = async (
  workshop: Workshop,
  outsider: Attacker,
  voter: Member,
  { id, record }: SeenTask,
): Promise<void> => {
  const { meshId, epoch } = workshop
  const connection = await outsider.dial(voter.address())
  const hand = await createTaskHand(outsider, connection, meshId)
  const bytes = await createBytesHand(outsider, connection)
  const fence = record.fence ?? { term: epoch, index: 1 }
  const own = { id: `stranger-${outsider.id.slice(-6)}`, type: 'honest', priority: 1, retry: RETRY, input: null }
  const place = { task: id, row: 'input', hash: hashOf(Buffer.from('stranger')) }
  const of = (what: string, asked: Promise<Outcome | readonly Outcome[]>): Promise<void> =>
    asked.then((came) => judge(workshop, what, [came].flat(), REFUSED))
  await Promise.all([
    of('submitting', hand.change({ do: 'submit', tasks: [{ ...own, digest: '00' }] })),
    of('offering to work', hand.change({ do: 'register', offers: [{ type: 'honest', slots: 9 }], incarnation: 1 })),
    of('completing', hand.change({ do: 'complete', id, fence, result: 'a lie' })),
    of('recording', hand.changeFirst({ do: 'effect', id, fence, name: 'seal', key: '', value: 'a lie' })),
    of('canceling', hand.task('control', { meshId, id, action: 'cancel' })),
    of('following all', hand.task('feed', { meshId, watch: [id] })),
    of('counting', hand.task('digest', { meshId })),
    of('ending a schedule', hand.task('schedule', { meshId, id: 'nightly', action: 'remove' })),
    of('reading records', read(hand.tasks(), 'tasks of others')),
    of('reading work', read(hand.rows(`$part/parley/tasks/work/${id}`), 'work of others')),
    of('moving a value', hand.raw({ epoch, ...place, id, to: outsider.id }, 'tasks.rehold')),
    of('having it hold a value', bytes.hold({ ...place, size: 8 })),
    of('fetching a value', bytes.take('fetch', place)),
    of('reading a value', bytes.take('read', place)),
    of('asking who has a value', bytes.raw('has', place)),
    of('replacing a holder', bytes.replace({ ...place, to: outsider.id })),
  ])
  await connection.close().catch(() => {})
}

const stranger: Attack = {
  name: 'task-stranger',
  line: 'T10',
  by: 'stranger',
  about: 'without a token: submits, takes, completes, cancels and reads tasks and large values, at each voter',
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { town, hand, tried } = workshop
      const voters = town.members.slice(0, 3)
      const outsiders = await Promise.all(Array.from({ length: OUTSIDERS }, () => town.attacker()))
      const endsAt = performance.now() + seconds * 1_000
      const lane = async (outsider: Attacker): Promise<void> => {
        do {
          const seen = await hand.tasks()
          const open = seen.find(({ record }) => /assigned|running/.test(record.status)) ?? seen[0]
          if (open !== undefined)
            for (const voter of voters)
              try {
                await askAll(workshop, outsider, voter, open)
              } catch (error) {
                const what = `no connection, or no stream: ${ofThrown(error)}`
                tried[what] = (tried[what] ?? 0) + 1
              }
          await delay(PAUSE_MS)
        } while (performance.now() < endsAt)
      }
      await Promise.all(outsiders.map(lane))
      const ids = new Set(outsiders.map(({ id }) => id))
      for (const { id, record } of await hand.tasks())
        if (ids.has(record.submitter) || ids.has(record.worker ?? ''))
          workshop.reached.push(`the task ${id} is a stranger's, or one works on it`)
      const asked = Object.entries(tried).filter(([what]) => /: (silent|SEC)/.test(what))
      if (asked.length < 16)
        workshop.reached.push(`only ${asked.length} things were asked for: the attack proves little`)
    }),
}

export const strangersToTasks: readonly Attack[] = [stranger]
