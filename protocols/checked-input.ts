/** What a program gives, held against its schema. Pure. */
import type * as z from 'zod'
import { ParleyError } from './errors.ts'

const MAX_ISSUES = 16

/** Of a name that cannot be one, what names can be. */
const messageOf = (issue: z.core.$ZodIssue): string =>
  issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message

/** @param problem what cannot be done with what does not fit @throws MSG001 with what is wrong, by its path */
export const checkedInput = <S extends z.ZodType>(schema: S, input: unknown, problem: string): z.output<S> => {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues
    .slice(0, MAX_ISSUES)
    .map((issue) => ({ path: issue.path.join('.'), message: messageOf(issue) }))
  throw new ParleyError(
    'MSG001',
    `${problem}: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    { hint: 'change or leave out the fields that are named', details: { issues } },
  )
}
