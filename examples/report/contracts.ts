/**
 * What the agents of the report say: one protocol for each craft, each with the method `extract`, and that of the composer.
 *
 * A node calls its own agent when it was given a task; the answer is the task's result. Every list and every text of an answer
 * has a limit here, so that the composer can hold ten thousand answers. All methods are idempotent: a batch of documents goes
 * to another agent when the first one dies.
 */
import * as z from 'zod'
import { defineEvent, defineProtocol } from '../../node/index.ts'

/** A head of 4 MiB never decodes to more UTF-16 code units than it has bytes. */
export const MAX_TEXT = 4 * 1024 * 1024
export const MAX_ITEMS = 200
export const MAX_MARKERS = 50
export const MAX_KEYWORDS = 20
export const MAX_SENTENCES = 5
export const MAX_LINKS = 500
/** Rows of a MinHash signature. */
export const SIGNATURE_ROWS = 128

const LABEL = 200
const SENTENCE = 400
const TARGET = 1000

const count = z.number().int().nonnegative()
const line = z.number().int().positive()

export const DocumentText = z.object({
  /** Relative to the folder, with `/`; a name of 4,096 bytes, each shown as `\xNN`, is the longest. */
  path: z.string().min(1).max(16_384),
  text: z.string().max(MAX_TEXT),
  /** Bytes of the whole file where `text` is its head only. */
  truncatedFrom: count.optional(),
})
export type DocumentText = z.output<typeof DocumentText>

export const Outline = z.object({
  /** What the document is written in, as in TypeScript or Markdown. */
  language: z.string().max(40),
  kind: z.enum(['markdown', 'html', 'source', 'data', 'text']),
  title: z.string().max(LABEL).optional(),
  /** Headings, declarations or keys, in the order of the document. */
  items: z.array(z.object({ level: z.number().int().min(1).max(6), text: z.string().max(LABEL), line })).max(MAX_ITEMS),
  /** How many there are beyond those listed too. */
  totalItems: count,
  lines: count,
  /** Runs of letters and digits; in scripts without spaces each sign. */
  words: count,
  /** Unicode code points. */
  characters: count,
  /** Code points of the longest line. */
  longestLine: count,
  /** Blocks of lines between blank lines. */
  paragraphs: count,
  /** Notes such as TODO and FIXME that the authors left. */
  markers: z.array(z.object({ word: z.string().max(10), text: z.string().max(LABEL), line })).max(MAX_MARKERS),
  totalMarkers: count,
})
export type Outline = z.output<typeof Outline>

export const Keywords = z.object({
  /** Best first; `weight` is in 0..1. */
  keywords: z.array(z.object({ text: z.string().max(LABEL), weight: z.number().min(0).max(1) })).max(MAX_KEYWORDS),
  /** Words looked at. */
  words: count,
})
export type Keywords = z.output<typeof Keywords>

export const Summary = z.object({
  /** In the order of the document; `weight` is the share of the rank, 0..1. */
  sentences: z.array(z.object({ text: z.string().max(SENTENCE), weight: z.number().min(0).max(1) })).max(MAX_SENTENCES),
  /** Sentences found, and how many of them were ranked. */
  found: count,
  ranked: count,
})
export type Summary = z.output<typeof Summary>

export const LINK_KINDS = ['url', 'relative', 'import'] as const

export const Links = z.object({
  /** Each target once, at the line where it is first named. */
  links: z.array(z.object({ kind: z.enum(LINK_KINDS), target: z.string().max(TARGET), line })).max(MAX_LINKS),
  totalLinks: count,
  /** SHA-256 of the text, hexadecimal. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** MinHash of the word shingles; empty where the document has too few words to compare. */
  signature: z.array(z.number().int().min(0).max(0xffffffff)).max(SIGNATURE_ROWS),
})
export type Links = z.output<typeof Links>

/** Milliseconds from one document to the next: each is reported as progress. */
const TIMEOUT_MS = 60_000
/** Documents of one batch. */
export const MAX_BATCH = 64
const MAX_REASON = 2_000
const Name = z.string().min(1).max(64)
/** A file below the folder as a byte string (names.ts). */
const FileName = z.string().min(1).max(4_096)

/** Documents that are worked on together: one task for each craft. */
export const Batch = z.object({
  /** Absolute path of the folder. */
  root: z.string().min(1).max(4_096),
  files: z.array(FileName).min(1).max(MAX_BATCH),
})
export type Batch = z.output<typeof Batch>

/** What came of one document; in the order of the batch. */
const worked = <S extends z.ZodType>(result: S) =>
  z.discriminatedUnion('status', [
    z.object({
      status: z.literal('processed'),
      bytes: count,
      encoding: z.string().max(40),
      /** Places that could not be decoded. */
      replaced: count,
      truncatedFrom: count.optional(),
      result,
    }),
    z.object({ status: z.enum(['skipped', 'failed']), bytes: count, reason: z.string().max(MAX_REASON) }),
  ])

/** Every answer says who worked on it, and for how long, so that the report can tell. */
const answer = <S extends z.ZodType>(result: S) =>
  z.object({ by: Name, ms: z.number().nonnegative(), documents: z.array(worked(result)).max(MAX_BATCH) })

/** Skills that read the same of a document are one craft. */
export const StructureAnswer = answer(z.object({ outline: Outline, links: Links }))
export type StructureAnswer = z.output<typeof StructureAnswer>
export const ContentAnswer = answer(z.object({ keywords: Keywords, summary: Summary }))
export type ContentAnswer = z.output<typeof ContentAnswer>

/** An answer as packed.ts has it: nodes pass it on as it is. */
const Packed = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'use bytes')

const EXTRACT = {
  request: Batch,
  response: z.object({ packed: Packed }),
  content: 'cbor',
  timeoutMs: TIMEOUT_MS,
  idempotent: true,
} as const

export const structureProtocol = defineProtocol({
  name: 'structure',
  version: '1.0.0',
  methods: {
    extract: {
      ...EXTRACT,
      description: 'Headings, declarations or keys of documents, their size, where they point to, what they resemble',
    },
  },
})

export const contentProtocol = defineProtocol({
  name: 'content',
  version: '1.0.0',
  methods: {
    extract: {
      ...EXTRACT,
      description: 'The words and phrases that documents are about, and the sentences that say most',
    },
  },
})

export const ReportRequest = z.object({
  /** Absolute path of the folder. */
  folder: z.string().min(1).max(4096),
  /** Absolute path of the report. */
  out: z.string().min(1).max(4096),
  /** Names of the agents that were started, the composer among them. */
  agents: z.array(Name).max(64),
})

export const ReportSummary = z.object({
  documents: count,
  processed: count,
  skipped: count,
  failed: count,
  /** Agents that took part. */
  agents: count,
  reassigned: count,
  wallMs: count,
  report: z.string(),
})
export type ReportSummary = z.output<typeof ReportSummary>

/** What the walk met and left out (walk.ts). */
const LeftOut = z.object({
  symbolicLinks: count,
  special: count,
  unreadableFolders: count,
  unreadable: z.array(z.string()),
  beyondLimit: count,
})

/** What came of one task: its answer, or why there is none. */
export const Outcome = z.union([z.object({ packed: Packed }), z.object({ failed: z.string().max(MAX_REASON) })])
export type Outcome = z.output<typeof Outcome>

/** One attempt at a report; what was collected for another one is forgotten. */
const Attempt = z.string().min(1).max(256)
/** A folder of a hundred thousand documents takes its time to render. */
const WRITE_MS = 3600 * 1000

/** The composer's part that computes: its node has the batches worked on, and hands over what comes of them. */
export const reportProtocol = defineProtocol({
  name: 'report',
  version: '1.0.0',
  methods: {
    collect: {
      request: z.object({
        attempt: Attempt,
        /** Place of the first document, from 0. */
        from: count,
        documents: z.array(z.object({ file: FileName, bytes: count })).max(MAX_BATCH),
        structure: Outcome,
        content: Outcome,
      }),
      response: z.object({ failed: count }),
      content: 'cbor',
      timeoutMs: TIMEOUT_MS,
      idempotent: true,
      description: 'Takes what came of one batch of documents',
    },
    write: {
      request: z.object({
        attempt: Attempt,
        request: ReportRequest,
        root: z.string(),
        leftOut: LeftOut,
        documents: count,
        reassigned: count,
        /** Milliseconds since 1970. */
        startedAt: count,
      }),
      response: ReportSummary,
      timeoutMs: WRITE_MS,
      // A report that is written twice is the same report.
      idempotent: true,
      description: 'Writes the report of what was collected',
    },
  },
})

export const progressEvent = defineEvent({
  topic: 'report.progress',
  version: '1.0.0',
  schema: z.object({ done: count, total: count, path: z.string().max(16_384), failed: count, reassigned: count }),
})
