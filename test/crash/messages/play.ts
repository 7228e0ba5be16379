/** One scenario of messages on a stage of its own: what it finds, and its folder where something is wrong. Keeps no state. */
import { messageOf } from '../play.ts'
import { type MessageStage, type MessageStageOptions, openMessageStage } from './stage.ts'

export interface MessageFindings {
  readonly figures: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

export type MessageScene = (stage: MessageStage) => Promise<MessageFindings>

/** Of what is wrong, for people. */
const MOST_TOLD = 12

const shorten = (what: readonly string[]): string[] =>
  what.length <= MOST_TOLD ? [...what] : [...what.slice(0, MOST_TOLD), `and ${what.length - MOST_TOLD} more`]

export const playMessages = async (options: MessageStageOptions, scene: MessageScene): Promise<MessageFindings> => {
  const stage = await openMessageStage(options)
  let found: MessageFindings
  try {
    found = await scene(stage)
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ''
    found = { figures: {}, violations: [`it did not come to its end: ${messageOf(error)}${cause}`] }
  }
  const isWrong = found.violations.length > 0
  if (isWrong) stage.say(`what the nodes had and said is kept in ${stage.folder}`)
  await stage.end({ keep: isWrong })
  return { figures: found.figures, violations: shorten(found.violations) }
}

/** Findings of several stages: figures are added up. */
export const together = (all: readonly MessageFindings[]): MessageFindings => {
  const figures: Record<string, number> = {}
  for (const one of all)
    for (const [name, value] of Object.entries(one.figures)) figures[name] = (figures[name] ?? 0) + value
  return { figures, violations: all.flatMap(({ violations }) => violations) }
}
