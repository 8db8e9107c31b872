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
          description: "The plate's own frame numbers, as 1001-1250, 1001,1011 or 1001-1250x10" },
        { key: "chunk_size", type: "int32", default: 16, propargs: { min: 1, max: 1024 }, visible: "submission",
          description: "Frames that one task renders" },
        { key: "take", type: "string", required: true },
        { key: "stages", type: "string", required: true, default: "track,reconstruct,edit,render,movie",
          visible: "submission",
          description: "The stages to run, of track,reconstruct,edit,render,movie,qc; others were done, or are not wanted" },
        { key: "track_arguments", type: "string", required: false, default: "",
          description: "What track is given, as a command line: --focal=35" },
        { key: "edit_arguments", type: "string", required: false, default: "",
          description: "What edit is given, as a command line: --editor relight --set key=left" },
        { key: "reconstruct_arguments", type: "string", required: false, default: "",
          description: "What reconstruct is given, as a command line: --steps=2000" },
        { key: "render_arguments", type: "string", required: false, default: "",
          description: "What render is given, as a command line: --plate --steady=0.5" },
        { key: "qc_arguments", type: "string", required: false, default: "",
          description: "What qc is given, as a command line: --strict --flicker 2" },
    ],
};

const STAGES = ["track", "reconstruct", "edit", "render", "movie", "qc"];
const MOST_FRAMES = 1000000;

function compileJob(job) {
    const settings = job.settings;
    const paths = job.metadata || {};
    for (const name of ["shot", "footage", "take"]) {
        if (!(settings[name] || "").trim()) throw new Error(`the job names no ${name}`);
    }
    const asked = (settings.stages || "").split(",").map((name) => name.trim()).filter((name) => name !== "");
    for (const name of asked) {
        if (STAGES.indexOf(name) < 0) throw new Error(`"${name}" is none of the stages ${STAGES.join(", ")}`);
    }
    if (!asked.length) throw new Error(`no stage is to run; name some of ${STAGES.join(", ")}`);
    const frames = numbers(settings.frames);
    const size = settings.chunk_size;
    if (!(Number.isInteger(size) && size > 0)) throw new Error(`a task cannot render ${size} frames`);

    let before = [];
    const stage = (name, type, commands) => {
        if (asked.indexOf(name) < 0) return;
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
    // A track has no gaps.
    const hull = `${frames[0]}-${frames[frames.length - 1]}`;

    stage("track", "misc", [["track", ["track", ...common, ...words(settings.track_arguments, paths), `--frames=${hull}`]]]);
    stage("reconstruct", "misc", [["reconstruct", ["reconstruct", ...common, ...words(settings.reconstruct_arguments, paths)]]]);
    stage("edit", "misc", [["edit", ["edit", ...common, ...take, ...words(settings.edit_arguments, paths)]]]);
    stage("render", "blender", chunks(frames, size).map((range) => [
        `render ${range}`, ["render", ...common, ...take, ...words(settings.render_arguments, paths), `--frames=${range}`, "--no-movie"],
    ]));
    stage("movie", "misc", [["movie", ["movie", ...common, ...take, `--frames=${listed(frames)}`]]]);
    stage("qc", "misc", [["qc", ["qc", ...common, ...take, `--frames=${listed(frames)}`, ...words(settings.qc_arguments, paths)]]]);
}

// Of the jobs that we write a word a line, so that words may hold anything; what was typed on one line is taken
// apart as a shell does it. {path_1} and the like stand for paths that the metadata hold: the Manager lays two-way
// variables into whole values alone.
function words(text, paths) {
    const whole = text || "";
    // Managers before 3.6 have no shellSplit.
    const split = typeof shellSplit === "function" ? shellSplit : (line) => line.split(/\s+/);
    const found = whole.indexOf("\n") < 0 ? split(whole) : whole.split(/\r?\n/);
    return Array.from(found)
        .filter((word) => word !== "")
        .map((word) => word.replace(/\{(path_\d+)\}/, (all, key) => paths[key] || all));
}

// The frames of 1-3,5 or -10-90x10, ascending; the Manager's own chunker knows none below zero, and no steps.
function numbers(text) {
    const found = new Set();
    for (const part of (text || "").split(",").map((each) => each.trim()).filter((each) => each !== "")) {
        const match = part.match(/^(-?\d{1,9})(?:\s*-\s*(-?\d{1,9}))?(?:\s*[x:]\s*(\d{1,9}))?$/);
        if (!match) throw new Error(`"${part}" is no frame range; write 1001-1250, 1001,1011 or 1001-1250x10`);
        const first = Number(match[1]);
        const last = match[2] === undefined ? first : Number(match[2]);
        const step = match[3] === undefined ? 1 : Number(match[3]);
        if (last < first) throw new Error(`${part} ends before it begins; write ${last}-${first}`);
        if (step < 1) throw new Error(`${part} has no step of ${step}`);
        if ((last - first) / step > MOST_FRAMES) throw new Error(`${part} has more than ${MOST_FRAMES} frames`);
        for (let frame = first; frame <= last; frame += step) found.add(frame);
    }
    if (!found.size) throw new Error("the job names no frame; write them as 1001-1250");
    return Array.from(found).sort((one, other) => one - other);
}

function chunks(frames, size) {
    const found = [];
    for (let at = 0; at < frames.length; at += size) found.push(listed(frames.slice(at, at + size)));
    return found;
}

// As short as can be where none is left out.
function listed(frames) {
    const runs = [];
    for (const frame of frames) {
        const last = runs[runs.length - 1];
        if (last && frame === last[1] + 1) last[1] = frame;
        else runs.push([frame, frame]);
    }
    return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}
