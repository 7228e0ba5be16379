/** What `parley store` says of large values of tasks that a node holds, and does with them (node/store/bytes/). */
import { basename, join } from 'node:path'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type HeldBytesSurvey, repairHeldBytes, surveyHeldBytes } from '../../../store/bytes/held-bytes-file.ts'
import { lookIntoFolder, openFolder } from '../../../store/files/disk.ts'
import { block, count } from './store-facts.ts'

const factsOf = ({ values, bytes, damaged, problems }: HeldBytesSurvey) => ({
  ...{ values, bytes, damaged: damaged.length },
  problems: problems.map(({ message }) => message),
})

export interface BytesInspection {
  readonly facts: ReturnType<typeof factsOf>
  readonly words: string
  readonly problems: readonly ParleyError[]
}

/** Reads all of it, and changes nothing. @throws what the disk says */
export const inspectBytes = async (folder: string): Promise<BytesInspection> => {
  const survey = await surveyHeldBytes(lookIntoFolder(folder))
  const { values, bytes, damaged } = factsOf(survey)
  const lines: [string, string][] = [
    ['holds', count(values, 'large value')],
    ['on disk', count(bytes, 'byte')],
    ...(damaged > 0 ? ([['damaged', count(damaged, 'file')]] as [string, string][]) : []),
  ]
  const words = `values of tasks in ${escapeText(folder)}\n${block(lines)}`
  return { facts: factsOf(survey), words, problems: survey.problems }
}

/**
 * @returns undefined `words`: there was nothing to repair
 * @throws what the disk says, and then it can be tried again
 */
export const repairBytes = async (folder: string) => {
  const { aside, before } = await repairHeldBytes(await openFolder(folder))
  const putAside = aside.map((name) => join(basename(folder), name))
  const facts = { repaired: aside.length > 0, problems: factsOf(before).problems, putAside }
  if (aside.length === 0) return { facts, words: undefined }
  const lines = putAside.map((name, i): [string, string] => [i === 0 ? 'put aside' : '', name])
  return { facts, words: `repaired the values of tasks in ${escapeText(folder)}\n${block(lines)}` }
}
