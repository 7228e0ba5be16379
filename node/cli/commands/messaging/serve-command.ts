/**
 * `parley serve`: an agent whose skill is a program. It joins the mesh as a node of its own, and runs the program for each
 * request. State: the node, and the programs at work.
 */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import * as z from 'zod'
import { describe } from '../../../../discovery/directory/record/describe-protocol.ts'
import { type AnyProtocol, type Context, defineProtocol } from '../../../../protocols/define.ts'
import { compile } from '../../../../protocols/wire/payload/contract.ts'
import { internalsOf } from '../../../lifecycle/mesh-internals.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { parseLabels } from '../../input/option-values.ts'
import { keepProcessAlive, listenForStopSignals } from '../../input/signals.ts'
import { usageError } from '../../output/exit-codes.ts'
import { type EphemeralNodeOptions, startEphemeralNode } from '../../start/ephemeral-node.ts'
import {
  killProcessGroup,
  runSkillLines,
  runSkillOnce,
  type SkillProgram,
  type SkillRunOptions,
} from './skill-program.ts'

export interface ServeCommandOptions extends EphemeralNodeOptions {
  command: string
  name?: string
  listen?: string[]
  label?: string[]
  stream?: boolean
  description?: string
  timeout: number
  concurrency: number
  queue: number
  maxOutput: number
  json?: boolean
}

interface Skill {
  readonly protocol: string
  readonly version: string
  readonly method: string
}

/** `upper`, `upper.run`, `upper@2.0.0.run`. @throws MSG001 */
export const parseSkill = (text: string): Skill => {
  const match = /^([a-z][a-z0-9-]{0,63})(?:@(\d{1,5}\.\d{1,5}\.\d{1,5}))?(?:\.([a-zA-Z][a-zA-Z0-9_]{0,63}))?$/.exec(
    text,
  )
  const [, protocol, version = '1.0.0', method = 'run'] = match ?? []
  if (protocol !== undefined) return { protocol, version, method }
  throw usageError(
    `${JSON.stringify(text)} cannot be the name of a skill`,
    'write PROTOCOL or PROTOCOL.METHOD in lower case, as in upper or text.upper; PROTOCOL@1.2.0.METHOD for a version',
  )
}

/** @throws MSG001 where no such program can be run here */
const findProgram = async (file: string): Promise<string> => {
  const isPath = /[/\\]/.test(file)
  const endings = process.platform === 'win32' ? ['', '.exe', '.cmd'] : ['']
  const places = isPath ? [file] : (process.env.PATH ?? '').split(delimiter).map((dir) => join(dir || '.', file))
  for (const place of places.flatMap((one) => endings.map((ending) => one + ending))) {
    if (
      await access(place, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  throw usageError(
    `${JSON.stringify(file)} is no program that can be run here`,
    isPath ? 'see whether it is there and executable' : 'see whether it is in PATH, or give its path',
  )
}

/** Characters of a command line that are shown. */
const SHOWN_CHARS = 100
const ANSWER_MS = 1_000
const MAX_TIMEOUT_MS = 2 ** 31 - 1

const shown = (words: readonly string[]): string => {
  const text = words.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')
  return escapeText(text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text)
}

/** One method, answered by the program. */
const contractOf = (skill: Skill, { stream, timeout, description }: ServeCommandOptions): AnyProtocol => {
  const common = {
    request: z.unknown(),
    // The program's own limit comes first, so that the error names what took too long.
    timeoutMs: Math.min(timeout + ANSWER_MS, MAX_TIMEOUT_MS),
    ...(description !== undefined && { description }),
  }
  return defineProtocol({
    name: skill.protocol,
    version: skill.version,
    methods: {
      [skill.method]: stream === true ? { ...common, stream: z.unknown() } : { ...common, response: z.unknown() },
    },
  })
}

const runOptions = (skill: Skill, { signal, peer, envelope }: Context): SkillRunOptions => ({
  signal,
  env: {
    PARLEY_CALLER: peer,
    PARLEY_SKILL: `${skill.protocol}.${skill.method}`,
    ...(envelope.conversationId !== undefined && { PARLEY_CONVERSATION_ID: envelope.conversationId }),
  },
})

export const serve = async (name: string, args: readonly string[], options: ServeCommandOptions): Promise<void> => {
  const skill = parseSkill(name)
  const { timeout: timeoutMs, maxOutput: maxOutputBytes, listen } = options
  const file = await findProgram(options.command)
  const program: SkillProgram = { file, args, timeoutMs, maxOutputBytes, groups: new Set() }
  process.on('exit', () => {
    for (const group of program.groups) killProcessGroup(group, 'SIGKILL')
  })
  const protocol = contractOf(skill, options)
  const { asked: over } = listenForStopSignals()
  const mesh = await startEphemeralNode(options, {
    name: options.name ?? skill.protocol,
    labels: parseLabels(options.label ?? []),
    listen: listen ?? ['/ip4/127.0.0.1/tcp/0'],
    log: 'warn',
    limits: { maxActive: options.concurrency, maxQueuedInbound: options.queue },
    timings: { stuckAfterMs: Math.max(30_000, timeoutMs) },
  })
  const letGo = keepProcessAlive()
  try {
    const handlers = {
      [skill.method]:
        options.stream === true
          ? (input: unknown, context: Context) => runSkillLines(program, input, runOptions(skill, context))
          : (input: unknown, context: Context) => runSkillOnce(program, input, runOptions(skill, context)),
    }
    await internalsOf(mesh).serveCompiled(compile(protocol, handlers), describe(protocol))
    const { id, name: own, mesh: meshName } = mesh.self
    const what = `${skill.protocol}.${skill.method}`
    process.stdout.write(
      options.json === true
        ? `${JSON.stringify({ id, name: own, mesh: meshName, skill: what, version: skill.version, pid: process.pid })}\n`
        : `${own} answers ${what} in the mesh ${meshName} by running ${shown([file, ...args])}; Ctrl-C ends it\n`,
    )
    await over
  } finally {
    await mesh.stop()
    letGo()
  }
}
