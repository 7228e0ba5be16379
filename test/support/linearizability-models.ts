/** Objects that histories are compared with: a register, and a record with versions as the journal keeps it. Pure. */
import type { Model } from './linearizability.ts'

export type RegisterInput =
  | { readonly key: string; readonly type: 'read' }
  | { readonly key: string; readonly type: 'write'; readonly value: string }
  | { readonly key: string; readonly type: 'cas'; readonly expected: string; readonly value: string }

/** What a read found; of a compare-and-set whether it was done; of a write nothing. */
export type RegisterOutput = string | boolean | null

/** Registers that hold `initial` at first. */
export const registerModel = (initial: string): Model<string, RegisterInput, RegisterOutput> => ({
  init: () => initial,
  step(state, input, output) {
    switch (input.type) {
      case 'read':
        return output === undefined || output === state ? [state] : []
      case 'write':
        return [input.value]
      case 'cas': {
        const isDone = state === input.expected
        if (output !== undefined && output !== isDone) return []
        return [isDone ? input.value : state]
      }
    }
  },
  key: (state) => state,
  partition: ({ key }) => key,
  isRead: ({ type }, output) => type === 'read' || output === false,
  overwrites: ({ type }) => type === 'write',
  show(input, output) {
    const answer = output === undefined ? ' (no answer)' : input.type === 'write' ? '' : `: ${output}`
    if (input.type === 'read') return `read ${input.key}${answer}`
    if (input.type === 'write') return `write ${input.key} = ${input.value}${answer}`
    return `set ${input.key} from ${input.expected} to ${input.value}${answer}`
  },
})

/** `ifVersion`: only where this is the version; 0: only where there is no record. */
export type RecordInput =
  | { readonly key: string; readonly type: 'get' }
  | { readonly key: string; readonly type: 'put'; readonly value: string; readonly ifVersion?: number }
  | { readonly key: string; readonly type: 'delete'; readonly ifVersion?: number }

export type RecordOutput =
  | { readonly type: 'found'; readonly value: string; readonly version: number }
  | { readonly type: 'absent' }
  | { readonly type: 'written'; readonly version: number }
  /** `version` is that of the deletion. */
  | { readonly type: 'deleted'; readonly existed: boolean; readonly version: number }
  /** `version` is what it is now; 0: there is no record. */
  | { readonly type: 'conflict'; readonly version: number }

export interface RecordState {
  /** Undefined: there is no record. */
  readonly value: string | undefined
  readonly version: number
  /** The answer that told the version was lost: it is higher than `version`. */
  readonly isAbove: boolean
}

/** The same record, its version known to be this one; undefined: it cannot be. */
const withVersion = (state: RecordState, version: number): RecordState | undefined => {
  if (state.value === undefined) return version === 0 ? state : undefined
  const isPossible = state.isAbove ? version > state.version : version === state.version
  return isPossible ? { value: state.value, version, isAbove: false } : undefined
}

const listed = (state: RecordState | undefined): readonly RecordState[] => (state === undefined ? [] : [state])

/** Puts and deletions alike; `value` is undefined for a deletion. */
const changed = (
  state: RecordState,
  value: string | undefined,
  ifVersion: number | undefined,
  version: number | undefined,
): readonly RecordState[] => {
  const before = ifVersion === undefined ? state : withVersion(state, ifVersion)
  if (before === undefined) return []
  if (version === undefined) return [{ value, version: before.version, isAbove: value !== undefined }]
  return version > before.version ? [{ value, version, isAbove: false }] : []
}

const stepRecord = (
  state: RecordState,
  input: RecordInput,
  output: RecordOutput | undefined,
): readonly RecordState[] => {
  if (input.type === 'get') {
    if (output === undefined) return [state]
    if (output.type === 'absent') return state.value === undefined ? [state] : []
    if (output.type !== 'found' || output.version === 0 || state.value !== output.value) return []
    return listed(withVersion(state, output.version))
  }
  if (output?.type === 'conflict') {
    const isConflict = input.ifVersion !== undefined && input.ifVersion !== output.version
    return isConflict ? listed(withVersion(state, output.version)) : []
  }
  if (input.type === 'put') {
    if (output !== undefined && output.type !== 'written') return []
    return changed(state, input.value, input.ifVersion, output?.version)
  }
  const existed = state.value !== undefined
  // Nothing is there, and it was not told either: it is as before.
  if (output === undefined) return existed ? changed(state, undefined, input.ifVersion, undefined) : []
  if (output.type !== 'deleted' || output.existed !== existed) return []
  return changed(state, undefined, input.ifVersion, output.version)
}

const shownRecord = (output: RecordOutput): string => {
  switch (output.type) {
    case 'found':
      return `${output.value} at version ${output.version}`
    case 'absent':
      return 'absent'
    case 'written':
      return `version ${output.version}`
    case 'deleted':
      return `${output.existed ? 'gone' : 'was absent'} at version ${output.version}`
    case 'conflict':
      return `conflict, it is at version ${output.version}`
  }
}

/**
 * Records with versions. Whole numbers that the system picks: that of a write is higher than all before it in its key, and
 * a read tells that of the last write. The version of a write whose answer was lost is learned from whoever tells it first.
 */
export const recordModel: Model<RecordState, RecordInput, RecordOutput> = {
  init: () => ({ value: undefined, version: 0, isAbove: false }),
  step: stepRecord,
  // Of a record that is absent the version is only a bound, exact or not.
  key: ({ value, version, isAbove }) =>
    value === undefined ? `- ${version}` : `${isAbove ? '>' : '='}${version} ${value}`,
  partition: ({ key }) => key,
  isRead: ({ type }, output) => type === 'get' || output.type === 'conflict',
  // A deletion tells, or depends on, whether there was something.
  overwrites: (input) => input.type === 'put' && input.ifVersion === undefined,
  show(input, output) {
    const condition = input.type === 'get' || input.ifVersion === undefined ? '' : ` if at version ${input.ifVersion}`
    const value = input.type === 'put' ? ` = ${input.value}` : ''
    return `${input.type} ${input.key}${value}${condition}${output === undefined ? ' (no answer)' : `: ${shownRecord(output)}`}`
  },
}
