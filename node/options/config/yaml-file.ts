/**
 * The configuration file: YAML 1.2 with anchors and merge keys, read into entries that know their lines.
 *
 * Refused: more than MAX_BYTES, a key given twice, several documents, anything but a map, aliases that multiply.
 */
import { basename } from 'node:path'
import { type Document, isNode, LineCounter, parseDocument } from 'yaml'
import { ParleyError } from '../../../protocols/errors.ts'
import { opensToOthers, readSmallFile } from '../../platform/private-file.ts'
import { isMap } from './key-shape.ts'
import { COMMUNICATION_SECTION, keySpace, unwrapCommunication } from './key-space.ts'
import { readTree, type Setting, type SettingIssue, type SettingOrigin } from './setting-layer.ts'

const MAX_BYTES = 1024 * 1024

export interface ConfigFile {
  readonly entries: Setting[]
  readonly issues: SettingIssue[]
  /** Others on this machine can read it. */
  readonly isOpen: boolean
}

const broken = (path: string, line: number, what: string): ParleyError =>
  new ParleyError('MSG001', `the configuration cannot be used: ${path}:${line}: ${what}`, {
    hint: 'it is YAML: key: value, with spaces and no tabs before keys of a section',
    details: { issues: [{ path: basename(path), place: `${path}:${line}`, message: what }] },
  })

const contentOf = (document: Document.Parsed, path: string): Record<string, unknown> => {
  let value: unknown
  try {
    value = document.toJS()
  } catch (error) {
    // Aliases of aliases, which would fill the memory.
    throw broken(path, 1, error instanceof Error ? error.message : String(error))
  }
  if (value === null || value === undefined) return {}
  if (isMap(value)) return value
  throw broken(path, 1, 'it is no map of keys and values')
}

/** Line of what stands at this path, or of what holds it. */
const lineAt = (document: Document.Parsed, lines: LineCounter, at: readonly (string | number)[]): number => {
  for (let length = at.length; length > 0; length -= 1) {
    const holder = document.getIn(at.slice(0, length - 1), true)
    const last = at[length - 1]
    const items = isMap(holder) && Array.isArray(holder.items) ? (holder.items as unknown[]) : []
    const pair = items.find((item) => isMap(item) && isNode(item.key) && item.key.toJSON() === last)
    const node = isMap(pair) ? pair.key : document.getIn(at.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return 1
}

/** @param path as it was given, for messages */
export const parseConfigFile = (text: string, path: string): Omit<ConfigFile, 'isOpen'> => {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: true })
  const [error] = document.errors
  if (error !== undefined) throw broken(path, lines.linePos(error.pos[0]).line, error.message)
  const { tree, moved, twice } = unwrapCommunication(contentOf(document, path))
  const { all, paths } = keySpace()
  const originOf = (at: readonly (string | number)[]): SettingOrigin => {
    const [first] = at
    const real = typeof first === 'string' && moved.has(first) ? [COMMUNICATION_SECTION, ...at] : at
    return { kind: 'file', path, line: lineAt(document, lines, real) }
  }
  const { entries, issues } = readTree(tree, { fields: all, everywhere: paths, originOf })
  const again = twice.map(
    (key): SettingIssue => ({
      path: key,
      origin: originOf([key]),
      message: `is given under ${COMMUNICATION_SECTION} and beside it`,
    }),
  )
  return { entries, issues: [...again, ...issues] }
}

/** @throws MSG001 for what is no YAML or is not there, STA003 for what cannot be read or is too large */
export const readConfigFile = async (path: string, shown: string): Promise<ConfigFile> => {
  let isOpen = false
  const bytes = await readSmallFile(path, MAX_BYTES, async (handle) => {
    isOpen = opensToOthers((await handle.stat()).mode)
  })
  if (bytes === undefined) {
    throw new ParleyError('MSG001', `the configuration file ${shown} does not exist`, {
      hint: 'parley init makes one; or name another with --config',
      details: { path: shown },
    })
  }
  return { ...parseConfigFile(new TextDecoder().decode(bytes), shown), isOpen }
}
