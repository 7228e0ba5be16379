/** The scenarios of messages by name, with their full numbers. Keeps no state. */
import type { Run, Scenario } from '../scenarios.ts'
import { createSmallDisk, noSmallDisk } from '../small-disk.ts'
import { type MessageFindings, type MessageScene, playMessages, together } from './play.ts'
import { DAMAGES, damaged } from './scenarios/damage.ts'
import { ACK_MS, fullDisk } from './scenarios/full-disk.ts'
import { messageKills } from './scenarios/kills.ts'
import { restoredReceiver, restoredSender } from './scenarios/restore.ts'
import { SLOW_OPTIONS, slowReceiver } from './scenarios/slow.ts'
import { type MessageStageOptions, RECEIVER, SENDER, THIRD } from './stage.ts'

/** In all 100,000 where 200 rounds are played. */
const MESSAGES_PER_ROUND = 500
const JUDGE_EVERY = 20

const plain = (
  name: string,
  about: string,
  scene: (run: Run) => MessageScene,
  more: Partial<MessageStageOptions> = {},
): Scenario => ({
  name,
  about,
  play: (run) => playMessages({ seed: run.seed, say: run.say, ...more }, scene(run)),
})

/** Each kind of damage on a stage of its own. */
const eachDamage = (name: string, about: string, whose: typeof SENDER | typeof RECEIVER): Scenario => ({
  name,
  about,
  async play({ seed, say }) {
    const all: MessageFindings[] = []
    for (const [i, damage] of DAMAGES.entries())
      all.push(await playMessages({ seed: (seed + i) % 2 ** 32, say }, damaged({ damage, whose })))
    return together(all)
  },
})

/** On a stage of which one node lives on a small disk. */
const onSmallDisk = (name: string, about: string, whose: typeof SENDER | typeof RECEIVER): Scenario => ({
  name,
  about,
  skip: noSmallDisk,
  async play({ seed, say }) {
    const disk = createSmallDisk()
    const dataDirOf = (node: string) => (node === whose ? `${disk.path}/${node}` : undefined)
    const options = { delivery: { ackTimeoutMs: ACK_MS } }
    try {
      return await playMessages({ seed, say, dataDirOf, options }, fullDisk(disk, whose))
    } finally {
      disk.remove()
    }
  },
})

export const MESSAGE_SCENARIOS: readonly Scenario[] = [
  plain(
    'kills',
    'sender, receiver and a third one are killed at random moments',
    ({ rounds }) => messageKills({ rounds, messages: rounds * MESSAGES_PER_ROUND, judgeEvery: JUDGE_EVERY }),
    { names: [SENDER, RECEIVER, THIRD] },
  ),
  eachDamage('damage-sender', 'what the sender stored is damaged, and mended', SENDER),
  eachDamage('damage-receiver', 'what the receiver stored is damaged, and mended', RECEIVER),
  onSmallDisk('full-disk-sender', 'the disk of the sender has no room for a while', SENDER),
  onSmallDisk('full-disk-receiver', 'the disk of the receiver has no room for a while', RECEIVER),
  plain('restore-sender', 'a copy of the stopped sender takes its place later', () =>
    restoredSender({ whileRunning: false }),
  ),
  plain('restore-twice', 'the same copy takes its place a second time', () =>
    restoredSender({ whileRunning: false, isTwice: true }),
  ),
  plain('restore-live', 'the same with a copy that was made while it ran', () =>
    restoredSender({ whileRunning: true }),
  ),
  plain('restore-receiver', 'a copy of the receiver takes its place later', () => restoredReceiver),
  plain(
    'slow',
    'a receiver with a hundredth of the speed of its sender',
    ({ slowSeconds }) => slowReceiver(slowSeconds),
    { options: SLOW_OPTIONS },
  ),
]
