import { z } from 'zod'

/** What `POST /deploy` takes. Everything in it is somebody else's text: what an engine could misread is refused here. */
export const deployRequest = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{1,127}$/, 'use letters, digits, dots, - and _; 2 to 128 of them')
      .describe('The container’s name'),
    network: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, 'write the name of a network')
      .refine(
        (name) => !['host', 'none'].includes(name),
        'a network of its own is needed; host and none are not allowed',
      )
      .describe('The network that it joins'),
    image: z
      .string()
      .max(512)
      .regex(/^[a-z0-9][A-Za-z0-9._:/@-]*$/, 'write an image such as registry.example.com/app:r123')
      .describe('Pulled when it is missing'),
    labels: z
      .record(
        z.string().regex(/^[\x21-\x7e]{1,256}$/, 'a label is printable ASCII without spaces'),
        z
          .string()
          .max(8192)
          .regex(/^[^\0]*$/, 'no NUL characters'),
      )
      .default({}),
    envs: z
      .record(
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,255}$/, 'not the name of an environment variable'),
        z
          .string()
          .max(32_768)
          .regex(/^[^\0]*$/, 'no NUL characters'),
      )
      .default({}),
    command: z
      .array(
        z
          .string()
          .max(8192)
          .regex(/^[^\0]*$/),
      )
      .max(256)
      .optional()
      .describe('Instead of the image’s own'),
    profile: z.string().max(64).optional().describe('Named limits and capabilities; `default` where none is named'),
  })
  .meta({ id: 'Deploy' })

export type DeployRequest = z.output<typeof deployRequest>
