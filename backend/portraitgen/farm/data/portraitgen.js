// SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
// SPDX-License-Identifier: GPL-3.0-or-later
//
// PortraitGen's job type for Flamenco 3. Lay it into the `scripts` folder beside the Manager, and name the
// program in flamenco-manager.yaml as the variable `portraitgen`, with a value for each platform.

const JOB_TYPE = {
    label: "PortraitGen",
    description: "Track, rebuild, edit and render one performer; frames are rendered in chunks",
    settings: [
        { key: "shot", type: "string", subtype: "dir_path", required: true, visible: "submission",
          description: "The shot folder, on storage that all workers share" },
        { key: "footage", type: "string", subtype: "file_path", required: true, visible: "submission",
          description: "The plate, as the workers see it" },
        { key: "frames", type: "string", required: true,
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
          evalInfo: { showLinkButton: true, description: "Scene frame range" },
          description: "The plate's own frame numbers, as 1001-1250 or 1001,1011,1021" },
        { key: "chunk_size", type: "int32", default: 16, propargs: { min: 1, max: 1024 }, visible: "submission",
          description: "Frames that one task renders" },
        { key: "take", type: "string", required: true },
        { key: "from_stage", type: "string", required: true, default: "track", visible: "submission",
          choices: ["track", "reconstruct", "edit", "render", "movie", "qc"],
          description: "The first stage to run; earlier ones were done" },
        { key: "track_arguments", type: "string", required: false, default: "", propargs: { multiline: true },
          description: "What track is given, a word a line" },
        { key: "edit_arguments", type: "string", required: false, default: "", propargs: { multiline: true },
          description: "What edit is given, a word a line: --editor, relight, --set, key=left" },
        { key: "reconstruct_arguments", type: "string", required: false, default: "", propargs: { multiline: true },
          description: "What reconstruct is given, a word a line" },
        { key: "render_arguments", type: "string", required: false, default: "", propargs: { multiline: true },
          description: "What render is given, a word a line: --plate, --steady=0.5" },
        { key: "quality", type: "bool", required: false, default: false, visible: "submission",
          description: "Measure the rendered take against its plate, and write a sheet" },
        { key: "quality_arguments", type: "string", required: false, default: "", propargs: { multiline: true },
          description: "What qc is given, a word a line: --strict, --flicker, 2" },
    ],
};

const STAGES = ["track", "reconstruct", "edit", "render", "movie", "qc"];

function compileJob(job) {
    const settings = job.settings;
    const first = STAGES.indexOf(settings.from_stage);
    if (first < 0) throw new Error(`from_stage "${settings.from_stage}" is none of ${STAGES.join(", ")}`);

    let before = [];
    const stage = (name, type, commands) => {
        if (STAGES.indexOf(name.split(" ")[0]) < first) return;
        const tasks = commands.map(([title, words]) => {
            const task = author.Task(title, type);
            task.addCommand(author.Command("exec", { exe: "{portraitgen}", args: words }));
            for (const each of before) task.addDependency(each);
            job.addTask(task);
            return task;
        });
        before = tasks;
    };
    const common = [settings.shot, "--footage", settings.footage];
    const take = ["--take", settings.take];

    stage("track", "misc", [["track", ["track", ...common, ...words(settings.track_arguments), `--frames=${hull(settings.frames)}`]]]);
    stage("reconstruct", "misc", [["reconstruct", ["reconstruct", ...common, ...words(settings.reconstruct_arguments)]]]);
    stage("edit", "misc", [["edit", ["edit", ...common, ...take, ...words(settings.edit_arguments)]]]);
    stage("render", "blender", frameChunker(settings.frames, settings.chunk_size).map((range) => [
        `render ${range}`, ["render", ...common, ...take, ...words(settings.render_arguments), `--frames=${range}`, "--no-movie"],
    ]));
    stage("movie", "misc", [["movie", ["movie", ...common, ...take, `--frames=${settings.frames}`]]]);
    if (settings.quality) {
        stage("qc", "misc", [["qc", ["qc", ...common, ...take, ...words(settings.quality_arguments)]]]);
    }
}

// A word a line, so that words may hold spaces.
function words(text) {
    return (text || "").split("\n").filter((word) => word !== "");
}

// A track has no gaps.
function hull(frames) {
    const numbers = frames.match(/-?\d+(?=-|,|$)/g);
    return `${numbers[0]}-${numbers[numbers.length - 1]}`;
}
