/** The scenarios of messages by name, with their full numbers. Keeps no state. */
import type { Run, Scenario } from '../scenarios.ts'
import { type MessageScene, playMessages } from './play.ts'
import { messageKills } from './scenarios/kills.ts'
import { restoredReceiver, restoredSender } from './scenarios/restore.ts'
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

export const MESSAGE_SCENARIOS: readonly Scenario[] = [
  plain(
    'kills',
    'sender, receiver and a third one are killed at random moments',
    ({ rounds }) => messageKills({ rounds, messages: rounds * MESSAGES_PER_ROUND, judgeEvery: JUDGE_EVERY }),
    { names: [SENDER, RECEIVER, THIRD] },
  ),
  plain('restore-sender', 'a copy of the stopped sender takes its place later', () =>
    restoredSender({ whileRunning: false }),
  ),
  plain('restore-live', 'the same with a copy that was made while it ran', () =>
    restoredSender({ whileRunning: true }),
  ),
  plain('restore-receiver', 'a copy of the receiver takes its place later', () => restoredReceiver),
]
