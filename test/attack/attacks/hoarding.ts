/** One member that has others keep for it what it never takes: answers, places at a relay. Issue 16, A6. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import { asMember, count, type Scene } from './scene.ts'

const PROBE = '/parley/probe/1'
const LINKS = 40
const STREAMS_A_LINK = 40
const ITEM_BYTES = 1_000_000
const MOST_CREDIT = 1_000_000

/** Asks for much on many links and reads none of them: what this node is told for it waits there. */
const askAndLeave = async ({ attacker, connection, tried }: Scene): Promise<void> => {
  for (let i = 0; i < LINKS; i += 1) {
    const link = await attacker.link(connection, PROBE)
    link.stream.pause()
    for (let n = 0; n < STREAMS_A_LINK; n += 1) {
      const payload = JSON.stringify({ to: 1e9, bytes: ITEM_BYTES })
      link.tell({ method: 'count', payload, credit: MOST_CREDIT, timeoutMs: 600_000 })
      count(tried, 'streams that nobody reads')
    }
    await delay(20)
  }
}

const unreadAnswers: Attack = {
  name: 'unread-answers',
  line: 'A6',
  by: 'member',
  about: `${LINKS * STREAMS_A_LINK} streams of items of ${ITEM_BYTES / 1e6} MB on ${LINKS} links, none of which is read`,
  // It takes the processor to make them, of which other bounds are.
  play: ({ seconds }) =>
    asMember(
      async (scene) => {
        await askAndLeave(scene)
        await delay(seconds * 1_000)
      },
      { isTimed: false },
    ),
}

export const hoarding: readonly Attack[] = [unreadAnswers]
