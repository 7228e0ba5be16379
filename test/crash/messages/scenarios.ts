/** The scenarios of messages by name, with their full numbers. Keeps no state. */
import type { Scenario } from '../scenarios.ts'
import { playMessages } from './play.ts'
import { messageKills } from './scenarios/kills.ts'
import { RECEIVER, SENDER, THIRD } from './stage.ts'

/** In all, where 200 rounds are played. */
const MESSAGES_PER_ROUND = 500
const JUDGE_EVERY = 20

export const MESSAGE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'kills',
    about: 'sender, receiver and a third one are killed at random moments',
    play: ({ seed, rounds, say }) =>
      playMessages(
        { seed, say, names: [SENDER, RECEIVER, THIRD] },
        messageKills({ rounds, messages: rounds * MESSAGES_PER_ROUND, judgeEvery: JUDGE_EVERY }),
      ),
  },
]
