/**
 * All keys of the configuration: the options of createMesh, the sections of the source documents, and the few that only
 * `parley up` has. State: made once, at the first question.
 */
import * as z from 'zod'
import { MeshOptionsSchema } from '../schema.ts'
import { isMap, type KeyShape, leafShapes, shapeOfSchema, snakeCase } from './key-shape.ts'
import { SectionsSchema } from './sections.ts'
import type { KeyFields } from './setting-layer.ts'

const FILES = z.array(z.string().min(1)).max(64)

/** What `parley up` takes beside the options of createMesh. */
export const ProgramKeys = z.strictObject({
  secret_file: z
    .union([z.string().min(1), z.tuple([z.string().min(1), z.string().min(1)])], {
      error: 'use the name of a file, or two in a list',
    })
    .describe(
      'File with the secret of the mesh in one line, mode 0600; two while it is changed, the new one first. Better than secret: this file can then be shown to anybody.',
    ),
  serve: FILES.default([]).describe('Agent modules to run, each in a worker thread.'),
  parts: FILES.default([]).describe('Modules of parts that this node has; the default export of each is a part.'),
})

const sections = (): Map<string, KeyShape> => {
  const found = new Map(shapeOfSchema(SectionsSchema, false))
  const transports = found.get('transports')
  if (transports?.kind === 'group') found.set('transports', { ...transports, byType: true })
  return found
}

/** The seed writes its sections under one more key; they may stand there too. */
export const COMMUNICATION_SECTION = 'communication'

export interface KeySpace {
  readonly options: KeyFields
  readonly sections: KeyFields
  readonly program: KeyFields
  readonly all: KeyFields
  /** Paths of all keys, in order. */
  readonly paths: readonly (readonly string[])[]
}

let made: KeySpace | undefined

export const keySpace = (): KeySpace => {
  if (made !== undefined) return made
  const options = shapeOfSchema(MeshOptionsSchema, true)
  const program = shapeOfSchema(ProgramKeys, false)
  const named = sections()
  const all = new Map([...program, ...options, ...named])
  made = { options, sections: named, program, all, paths: leafShapes(all).map(({ path }) => path) }
  return made
}

export interface Unwrapped {
  readonly tree: Record<string, unknown>
  /** Keys that stood under `communication`. */
  readonly moved: ReadonlySet<string>
  readonly twice: readonly string[]
}

/** Takes the sections out of `communication`. */
export const unwrapCommunication = (tree: Record<string, unknown>): Unwrapped => {
  const { [COMMUNICATION_SECTION]: inner, ...outer } = tree
  if (!isMap(inner)) return { tree, moved: new Set(), twice: [] }
  const moved = Object.keys(inner)
  return {
    tree: { ...inner, ...outer },
    moved: new Set(moved),
    twice: moved.filter((key) => Object.hasOwn(outer, key)),
  }
}

/** Messages and descriptions of createMesh name options; here they are keys. */
export const withKeyNames = (text: string): string => {
  const names = new Set(leafShapes(keySpace().options).flatMap(({ option = [] }) => option))
  return text.replace(/\b[a-z]+[A-Z]\w*\b/g, (word) => (names.has(word) ? snakeCase(word) : word))
}
